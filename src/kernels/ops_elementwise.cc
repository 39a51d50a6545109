// Ops' row-wise operations: how rows are shared out among threads. Outputs are independent of one another,
// so that is a matter of speed alone.
#include <algorithm>

#include "kernels/activations.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

/// Elements below which waking other threads (1 to 2 us) costs more than it saves.
constexpr std::size_t kSerialElements = 16384;

/// Calls body(begin, end) over [0, rows), in one piece when there is little to do.
template <typename Body>
void for_rows(base::ThreadPool& pool, std::size_t rows, std::size_t cols, const Body& body) {
  if (rows == 0) return;
  const std::size_t pieces = std::min(rows, rows * cols < kSerialElements ? 1 : 4 * pool.size());
  if (pieces == 1 || pool.size() == 1) return body(std::size_t{0}, rows);
  pool.run(pieces, [&](std::size_t i) { body(rows * i / pieces, rows * (i + 1) / pieces); });
}

}  // namespace

void Ops::rms_norm(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, const float* weight, float eps,
                   float* y, std::size_t ldy) const {
  for_rows(*pool_, rows, cols, [&](std::size_t begin, std::size_t end) {
    table_->rows.rms_norm(x + begin * ldx, end - begin, cols, ldx, weight, eps, y + begin * ldy, ldy);
  });
}

void Ops::add_norm_prepare(float* x, const float* delta, std::size_t rows, std::size_t cols, const float* weight,
                           float eps, float* y, Activations& out, ActivationForms forms) const {
  begin(y, rows, cols, cols, out, forms);
  const RowBlock block{.x = y, .first = 0, .rows = rows};
  const bool quantises = out.impl_->prepared();
  for_rows(*pool_, rows, cols, [&](std::size_t first, std::size_t last) {
    for (std::size_t r = first; r < last; ++r) {
      if (delta != nullptr) table_->rows.add(x + r * cols, delta + r * cols, cols);
      table_->rows.rms_norm(x + r * cols, 1, cols, cols, weight, eps, y + r * cols, cols);
      if (quantises) quantise(block, cols, r, 1, 0, cols, out);
    }
  });
}

void Ops::rms_norm_heads(float* x, std::size_t rows, std::size_t ldx, std::size_t heads, std::size_t head_dim,
                         const float* weight, float eps) const {
  for_rows(*pool_, rows, heads * head_dim, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      float* row = x + r * ldx;
      table_->rows.rms_norm(row, heads, head_dim, head_dim, weight, eps, row, head_dim);
    }
  });
}

void Ops::rope(float* x, std::size_t rows, std::size_t ldx, std::size_t heads, std::size_t head_dim, std::size_t half,
               const float* cos, const float* sin) const {
  for_rows(*pool_, rows, heads * head_dim, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r)
      table_->rows.rope(x + r * ldx, heads, head_dim, half, cos + r * half, sin + r * half);
  });
}

void Ops::swiglu(const float* gate, const float* up, std::size_t rows, std::size_t cols, std::size_t ld,
                 float* y) const {
  for_rows(*pool_, rows, cols, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) table_->rows.swiglu(gate + r * ld, up + r * ld, cols, y + r * ld);
  });
}

void Ops::weighted_sums(const float* x, const std::uint32_t* sources, const float* weights, std::size_t count,
                        std::size_t rows, std::size_t cols, float* y) const {
  for_rows(*pool_, rows, count * cols, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      std::fill_n(y + r * cols, cols, 0.0f);
      for (std::size_t i = r * count; i < (r + 1) * count; ++i)
        table_->rows.add_scaled(y + r * cols, weights[i], x + sources[i] * cols, cols);
    }
  });
}

void Ops::add(float* x, std::size_t ldx, const float* y, std::size_t ldy, std::size_t rows, std::size_t cols) const {
  for_rows(*pool_, rows, cols, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) table_->rows.add(x + r * ldx, y + r * ldy, cols);
  });
}

}  // namespace minke::kernels
