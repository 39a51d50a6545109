// The operations that models are made of, on rows of a ragged batch. Ops chooses no arithmetic by load,
// batch or thread count: each output's reduction order depends on shapes alone (docs/architecture.md,
// "Determinism"). All pointers are to fp32 unless said; leading dimensions count floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "kernels/kv_layout.h"
#include "kernels/numerics.h"
#include "kernels/packed_matrix.h"

namespace minke::kernels {

/// Room for rows of activations in the forms that linear() reads; filled by Ops::prepare, reused by every
/// product over the same input (q, k and v; gate and up).
class Activations {
 public:
  Activations();
  /// Allocates for up to `rows` x `cols`.
  Activations(std::size_t rows, std::size_t cols);
  ~Activations();
  Activations(Activations&&) noexcept;
  Activations& operator=(Activations&&) noexcept;

 private:
  friend class Ops;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// In which forms products read activations besides as floats: int8 groups of 32, int8 blocks of 256, BF16
/// (kernel_table.h).
struct ActivationForms {
  bool groups = true, blocks = true, halves = true;
};

/// Rows of one product among several: `rows` rows at x, and their place among the rows of the whole set.
struct RowBlock {
  const float* x = nullptr;
  std::size_t first = 0;  ///< the rows of the blocks before it
  std::size_t rows = 0;
};

/// y[r][n] = sum_k x[r][k] w[n][k] (+ bias[n]) for the rows of one block, which lies in what `x` prepared.
struct Product {
  const Activations* x = nullptr;
  RowBlock block;
  const PackedMatrix* weight = nullptr;
  const float* bias = nullptr;  ///< [outputs] or null
  float* y = nullptr;           ///< [block.rows][ldy]
  std::size_t ldy = 0;
  bool careful = false;        ///< weights that are not quantised meet fp32 activations on every instruction set
  std::size_t first_task = 0;  ///< Ops's own
};

/// silu(gate(x)) * up(x) for the rows of one block, left in `out` ready for the next product.
struct GatedProduct {
  const Activations* x = nullptr;
  RowBlock block;
  const PackedMatrix *gate = nullptr, *up = nullptr;     ///< of one shape
  const float *gate_bias = nullptr, *up_bias = nullptr;  ///< [outputs] or null
  float* y = nullptr;                                    ///< [block.rows][ldy], the result
  std::size_t ldy = 0;
  Activations* out = nullptr;  ///< begun for rows at y (Ops::begin), the outputs as its columns
  std::size_t out_first = 0;   ///< the block's place among the rows of `out`
  std::size_t first_task = 0;  ///< Ops's own
};

/// One row of a batch: which sequence (index into the views) and its position in it.
struct RowRef {
  std::uint32_t sequence = 0;
  std::uint32_t position = 0;
};

/// A sequence's cache: blocks[i] holds positions [64 i, 64 i + 64) of all layers.
struct KvView {
  std::byte* const* blocks = nullptr;
};

class Ops {
 public:
  Ops(const KernelTable& table, base::ThreadPool& pool, Numerics numerics)
      : table_(&table), pool_(&pool), numerics_(numerics) {}

  Numerics numerics() const noexcept { return numerics_; }
  const KernelTable& table() const noexcept { return *table_; }
  base::ThreadPool& pool() const noexcept { return *pool_; }

  /// What products of these weights will read; empty matrices do not count. Preparing less saves its time.
  template <typename... Weights>
  ActivationForms forms_for(const Weights&... weights) const {
    ActivationForms forms{.groups = false, .blocks = false, .halves = false};
    (add_reader(weights, forms), ...);
    return forms;
  }

  /// Reads x[rows][ldx] (cols used) into `out`: keeps the fp32 rows by reference (x must stay) and, in
  /// `fast`, rounds each row to those of the forms that this instruction set has.
  void prepare(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, Activations& out,
               ActivationForms forms = {}) const;

  /// y[r][n] = sum_k x[r][k] w[n][k] (+ bias[n]); y has leading dimension ldy; bias may be null.
  void linear(const Activations& x, const PackedMatrix& w, const float* bias, float* y, std::size_t ldy) const;

  /// Activations for blocks of rows that meet different weights (experts, heads): each row's arithmetic is that of a
  /// lone product. Blocks lie one after the other (block i's first = sum of the rows before).
  void prepare(std::span<const RowBlock> blocks, std::size_t cols, std::size_t ldx, Activations& out,
               ActivationForms forms = {}) const;
  /// Blocks whose row i is row sources[first + i] of `from`: quantised rows are copied, not quantised again, and in
  /// `exact` (or when `floats`: a weight wants fp32 activations) the rows go to x[first + i][cols].
  void gather(const Activations& from, std::span<const RowBlock> blocks, const std::uint32_t* sources, bool floats,
              float* x, Activations& out) const;
  /// All products in one parallel stage; shapes may differ.
  void linear(std::span<Product> products) const;
  /// A product with all rows that `x` prepared.
  static Product product(const Activations& x, const PackedMatrix& w, const float* bias, float* y, std::size_t ldy);

  /// Makes `out` ready to take `rows` x `cols` at x (ldx apart) from gated().
  void begin(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, Activations& out,
             ActivationForms forms = {}) const;
  /// All gated products in one parallel stage: a task computes the same outputs of gate and up, joins and quantises
  /// them while they are in the first-level cache.
  void gated(std::span<GatedProduct> products) const;
  /// Whether a product of `w` reads fp32 activations, so that gather() has to move them.
  bool reads_floats(const PackedMatrix& w) const noexcept;

  /// y[r] = unpacked row ids[r] of `table` (token embedding).
  void embed(const PackedMatrix& table, std::span<const std::int32_t> ids, float* y, std::size_t ldy) const;

  /// y = x / sqrt(mean(x^2) + eps) * weight, per row of `cols` (Zhang & Sennrich 2019). y may be x.
  void rms_norm(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, const float* weight, float eps,
                float* y, std::size_t ldy) const;

  /// What lies between two blocks, in one pass over each row: x += delta (unless null), y = rms_norm(x), and y
  /// prepared in `out`. x, delta, y: [rows][cols].
  void add_norm_prepare(float* x, const float* delta, std::size_t rows, std::size_t cols, const float* weight,
                        float eps, float* y, Activations& out, ActivationForms forms = {}) const;

  /// rms_norm of each head's `head_dim` values inside rows of `heads * head_dim` (Qwen3's q and k norms), in place.
  void rms_norm_heads(float* x, std::size_t rows, std::size_t ldx, std::size_t heads, std::size_t head_dim,
                      const float* weight, float eps) const;

  /// Rotary embedding, half-rotation form, in place on the first 2 * half of each head's head_dim values:
  /// (a, b) = (x[i], x[i + half]) -> (a cos - b sin, b cos + a sin). cos, sin: [rows][half].
  void rope(float* x, std::size_t rows, std::size_t ldx, std::size_t heads, std::size_t head_dim, std::size_t half,
            const float* cos, const float* sin) const;

  /// y = silu(gate) * up, silu(x) = x / (1 + exp(-x)). gate, up, y: [rows][ld], cols used. y may be gate.
  void swiglu(const float* gate, const float* up, std::size_t rows, std::size_t cols, std::size_t ld, float* y) const;

  /// x += y, rows x cols.
  void add(float* x, std::size_t ldx, const float* y, std::size_t ldy, std::size_t rows, std::size_t cols) const;

  /// y[r] = sum over i < count, in order, of weights[r][i] * x[sources[r][i]]; rows of x and y are cols long.
  void weighted_sums(const float* x, const std::uint32_t* sources, const float* weights, std::size_t count,
                     std::size_t rows, std::size_t cols, float* y) const;

  /// Writes keys k[r][kv_heads * k_dim] and values v[r][kv_heads * v_dim] of the rows into the cache at
  /// their positions. `layer_offset`: bytes from a block's start to this layer's part.
  void store_kv(const KvLayout& layout, std::size_t layer_offset, std::span<const RowRef> rows,
                std::span<const KvView> sequences, const float* k, std::size_t ldk, const float* v,
                std::size_t ldv) const;

  /// The latent form: writes latent[r][k_dim] of the rows.
  void store_latent(const KvLayout& layout, std::size_t layer_offset, std::span<const RowRef> rows,
                    std::span<const KvView> sequences, const float* latent, std::size_t ld) const;

  /// out[r][h] = softmax(scale * q[r][h] . K) V over positions 0 .. rows[r].position, both read from the cache
  /// as stored; head h reads kv head h / (heads / kv_heads). Blocks of 64 in ascending order with a running
  /// maximum (Milakov & Gimelshein 2018). In the latent form heads of q are k_stride() apart, the pad zero. q:
  /// [rows][ldq] with heads * k_dim used; out: [rows][ldo] with heads * v_dim. Few rows with a long past share it out
  /// among threads as far as the scratch `parts` reaches (attention_parts); which changes no bit.
  void attention(const KvLayout& layout, std::size_t layer_offset, std::span<const RowRef> rows,
                 std::span<const KvView> sequences, std::size_t heads, const float* q, std::size_t ldq, float scale,
                 float* out, std::size_t ldo, std::span<float> parts = {}) const;
  /// Floats of `parts` for `rows` rows at positions below `tokens`.
  static std::size_t attention_parts(const KvLayout& layout, std::size_t heads, std::size_t rows, std::size_t tokens);

 private:
  /// Tiles [tile, tile + tile_count) of the rows [row, row + rows) of one product.
  void linear_task(const Product& product, std::size_t tile, std::size_t tile_count, std::size_t row,
                   std::size_t rows) const;
  /// The same to y[rows][ldy], the first tile's place.
  void linear_task(const Product& product, std::size_t tile, std::size_t tile_count, std::size_t row, std::size_t rows,
                   float* y, std::size_t ldy) const;
  /// What `out` will hold, nothing quantised yet.
  void set_up(const RowBlock& block, std::size_t cols, std::size_t ldx, Activations& out, ActivationForms forms) const;
  void add_reader(const PackedMatrix& w, ActivationForms& forms) const noexcept;
  bool reads_blocks(const PackedMatrix& w) const noexcept;
  bool reads_halves(const PackedMatrix& w) const noexcept;
  /// Columns [begin, end), begin a multiple of 32, of rows [row, row + rows) of a block, y its fp32 rows.
  void quantise(const RowBlock& block, std::size_t ldx, std::size_t row, std::size_t rows, std::size_t begin,
                std::size_t end, Activations& out) const;
  void merge_parts(const KvLayout& layout, std::span<const RowRef> rows, std::size_t heads, std::size_t splits,
                   float* parts, float* out, std::size_t ldo) const;
  template <typename AnyProduct, typename Task>
  void run_products(std::span<AnyProduct> products, std::size_t passes, std::size_t tiles_together,
                    const Task& task) const;
  void gated_task(const GatedProduct& p, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows) const;
  /// Outputs [begin, end) of rows [row, row + rows) as the activations of the next product.
  void quantise_gated(const GatedProduct& p, std::size_t row, std::size_t rows, std::size_t begin,
                      std::size_t end) const;

  const KernelTable* table_;
  base::ThreadPool* pool_;
  Numerics numerics_;
};

}  // namespace minke::kernels
