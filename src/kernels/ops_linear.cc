#include <algorithm>
#include <cassert>

#include "kernels/activations.h"
#include "kernels/codec.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

/// Below this many int8 groups quantising is not worth waking other threads (a barrier costs about as much
/// as quantising 200 groups).
constexpr std::size_t kGroupsPerTask = 512;
constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

void Ops::prepare(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, Activations& out,
                  ActivationForms forms) const {
  const RowBlock whole{.x = x, .first = 0, .rows = rows};
  prepare(std::span(&whole, 1), cols, ldx, out, forms);
}

void Ops::prepare(std::span<const RowBlock> blocks, std::size_t cols, std::size_t ldx, Activations& out,
                  ActivationForms forms) const {
  Activations::Impl& a = *out.impl_;
  const std::size_t groups = divide_up(cols, kGroupInputs);
  const std::size_t rows = blocks.empty() ? 0 : blocks.back().first + blocks.back().rows;
  assert(rows <= a.max_rows && groups <= a.max_groups && ldx >= cols);
  set_up(blocks.empty() ? RowBlock{} : blocks.front(), cols, ldx, out, forms);
  if (!a.prepared()) return;

  if (rows * groups <= kGroupsPerTask) {
    for (const RowBlock& block : blocks) quantise(block, ldx, 0, block.rows, 0, cols, out);
  } else if (blocks.size() == 1) {
    const std::size_t per_task = std::max<std::size_t>(1, kGroupsPerTask / std::max<std::size_t>(1, groups));
    const auto some_rows = [&](std::size_t index) {
      quantise(blocks[0], ldx, index * per_task, std::min(per_task, rows - index * per_task), 0, cols, out);
    };
    pool_->run(divide_up(rows, per_task), some_rows);
  } else {
    const auto one_block = [&](std::size_t i) { quantise(blocks[i], ldx, 0, blocks[i].rows, 0, cols, out); };
    pool_->run(blocks.size(), one_block);
  }
}

void Ops::set_up(const RowBlock& block, std::size_t cols, std::size_t ldx, Activations& out,
                 ActivationForms forms) const {
  Activations::Impl& a = *out.impl_;
  a.block = block;
  a.cols = cols;
  a.ldx = ldx;
  const bool fast = numerics_ == Numerics::fast;
  a.in_groups = fast && forms.groups;
  a.in_blocks = fast && forms.blocks && table_->linear_blocks != nullptr && cols % kActivationBlock == 0;
  a.in_halves = fast && forms.halves && table_->linear_halves != nullptr;
}

void Ops::quantise(const RowBlock& block, std::size_t ldx, std::size_t row, std::size_t rows, std::size_t begin,
                   std::size_t end, Activations& out) const {
  const Activations::Impl& a = *out.impl_;
  const std::size_t groups = divide_up(a.cols, kGroupInputs);
  ActivationGroup* to = a.groups.get() + block.first * groups;
  for (std::size_t r = row; r < row + rows; ++r) {
    const std::size_t first = r / kActivationRows * kActivationRows;
    const std::size_t stride = std::min(kActivationRows, block.rows - first);
    if (a.in_groups)
      table_->quantize_row(block.x + r * ldx + begin, end - begin,
                           to + first * groups + begin / kGroupInputs * stride + (r - first), stride);
    if (a.in_halves)
      for (std::size_t c = begin, next; c < end; c = next) {
        next = std::min(end, (c / kActivationBlock + 1) * kActivationBlock);
        table_->round_halves(block.x + r * ldx + c, next - c,
                             a.halves_at(block.first, block.rows, first, c / kActivationBlock) +
                                 c % kActivationBlock / kGroupInputs * stride + (r - first),
                             stride);
      }
    if (a.in_blocks)
      for (std::size_t c = begin; c < end; c += kActivationBlock)
        table_->quantize_block(block.x + r * ldx + c,
                               a.lines_at(block.first, block.rows, first, c / kActivationBlock) + (r - first), stride,
                               a.tail_at(block.first, block.rows, r, c / kActivationBlock));
  }
}

void Ops::linear_task(const Product& product, std::size_t tile, std::size_t tile_count, std::size_t row,
                      std::size_t rows) const {
  float* y = product.y + row * product.ldy + tile * kTileOutputs;
  linear_task(product, tile, tile_count, row, rows, y, product.ldy);
}

void Ops::linear_task(const Product& product, std::size_t tile, std::size_t tile_count, std::size_t row,
                      std::size_t rows, float* y, std::size_t ldy) const {
  const Activations::Impl& a = *product.x->impl_;
  const PackedMatrix& w = *product.weight;
  const std::size_t groups = divide_up(a.cols, kGroupInputs);
  const std::size_t output = tile * kTileOutputs;
  LinearTask task;
  task.tiles = reinterpret_cast<const std::uint8_t*>(w.data()) + tile * w.tile_bytes();
  task.tile_bytes = w.tile_bytes();
  task.tile_count = std::min(tile_count, divide_up(w.rows(), kTileOutputs) - tile);
  task.outputs = std::min(task.tile_count * kTileOutputs, w.rows() - output);
  task.cols = a.cols;
  task.dtype = w.dtype();
  task.rows = std::min(rows, product.block.rows - row);
  task.bias = product.bias == nullptr ? nullptr : product.bias + output;
  task.y = y;
  task.ldy = ldy;
  task.x = product.block.x + row * a.ldx;
  task.ldx = a.ldx;
  task.fetch_ahead = table_->fetch_ahead;
  task.groups = a.groups.get() + (product.block.first + row) * groups;
  if (reads_floats(w) || (product.careful && find_codec(w.dtype()) == nullptr)) return table_->linear_float(task);
  if (reads_blocks(w)) {
    assert(a.in_blocks);
    task.lines = a.lines_at(product.block.first, product.block.rows, row);
    task.tails = a.tail_at(product.block.first, product.block.rows, row);
    task.line_rows = product.block.rows;
    return table_->linear_blocks(task);
  }
  if (reads_halves(w)) {
    assert(a.in_halves);
    task.halves = a.halves_at(product.block.first, product.block.rows, row);
    task.line_rows = product.block.rows;
    return table_->linear_halves(task);
  }
  assert(a.in_groups);
  table_->linear_bytes(task);
}

bool Ops::reads_floats(const PackedMatrix& w) const noexcept {
  return numerics_ != Numerics::fast || (find_codec(w.dtype()) == nullptr && !reads_halves(w));
}

bool Ops::reads_halves(const PackedMatrix& w) const noexcept {
  return numerics_ == Numerics::fast && table_->linear_halves != nullptr && multiplies_as_halves(w.dtype());
}

bool Ops::reads_blocks(const PackedMatrix& w) const noexcept {
  const CodecSpec* codec = find_codec(w.dtype());
  return numerics_ == Numerics::fast && table_->linear_blocks != nullptr && codec != nullptr &&
         has_integer_blocks(*codec);
}

void Ops::add_reader(const PackedMatrix& w, ActivationForms& forms) const noexcept {
  if (w.empty() || reads_floats(w)) return;
  (reads_halves(w) ? forms.halves : reads_blocks(w) ? forms.blocks : forms.groups) = true;
}

Product Ops::product(const Activations& x, const PackedMatrix& w, const float* bias, float* y, std::size_t ldy) {
  assert(x.impl_->cols == w.cols() && ldy >= w.rows());
  return {.x = &x,
          .block = {.x = x.impl_->block.x, .first = 0, .rows = x.impl_->block.rows},
          .weight = &w,
          .bias = bias,
          .y = y,
          .ldy = ldy};
}

void Ops::linear(const Activations& x, const PackedMatrix& w, const float* bias, float* y, std::size_t ldy) const {
  Product one = product(x, w, bias, y, ldy);
  linear(std::span(&one, 1));
}

void Ops::embed(const PackedMatrix& table, std::span<const std::int32_t> ids, float* y, std::size_t ldy) const {
  assert(ldy >= table.cols());
  const auto unpack = [&](std::size_t i) {
    assert(ids[i] >= 0 && static_cast<std::size_t>(ids[i]) < table.rows());
    table.unpack_row(static_cast<std::size_t>(ids[i]), {y + i * ldy, table.cols()});
  };
  pool_->run(ids.size(), unpack);
}

}  // namespace minke::kernels
