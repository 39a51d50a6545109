// The part of a kernel table that works on rows of activations: element-wise operations and attention.
// Plain functions and plain data, so that the instruction-set sources pull in no inline library code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_layout.h"

namespace minke::kernels {

/// (row, head) pairs in a task: 8 rows of Qwen2.5-1.5B's 6 heads per kv head.
inline constexpr std::size_t kAttentionPairs = 48;
/// Floats of output that a task holds on the stack (64 KiB): pairs * v_stride may not exceed it.
inline constexpr std::size_t kAttentionScratch = 16384;

/// Floats before the outputs in a split's record: the maximum (16 times), and the sixteen sums of weights.
inline constexpr std::size_t kAttentionPartHead = 32;

/// Some rows of one sequence, and some heads that read the same kv head.
struct AttentionTask {
  const std::byte* const* blocks = nullptr;  ///< of the sequence
  std::size_t key_offset = 0;                ///< bytes from a block's start to the keys (KvLayout)
  std::size_t value_offset = 0;              ///< bytes from a block's start to the values
  std::size_t k_dim = 0, v_dim = 0, v_stride = 0;
  KvType type = KvType::f32;
  std::size_t key_scales = 0, value_scales = 0;  ///< q8: bytes from a block's start to the scales (KvLayout)
  std::size_t rows = 0, heads = 0;               ///< rows * heads in 1 .. kAttentionPairs
  const std::uint32_t* positions = nullptr;      ///< [rows]: a row sees positions 0 .. its own
  const float* q = nullptr;                      ///< [rows][ldq], the first of the task's heads; heads are k_dim apart
  std::size_t ldq = 0;
  float scale = 1;
  float* out = nullptr;  ///< [rows][ldo], likewise, heads v_dim apart
  std::size_t ldo = 0;
  const std::uint32_t* split_ends = nullptr;    ///< of every split, in blocks (KvSplits)
  std::size_t first_split = 0, last_split = 0;  ///< what the task sums: those of [first, last) that its rows see
  float* parts = nullptr;                       ///< null: out is written, first_split is 0. Else the records of
                                                ///< (row, head) lie at parts + row part_row + head part_head
  std::size_t part_row = 0, part_head = 0;      ///< floats
};

struct RowKernels {
  /// As Ops::rms_norm.
  void (*rms_norm)(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, const float* weight, float eps,
                   float* y, std::size_t ldy) noexcept = nullptr;
  /// As Ops::rope, one row.
  void (*rope)(float* x, std::size_t heads, std::size_t head_dim, std::size_t half, const float* cos,
               const float* sin) noexcept = nullptr;
  /// y = silu(gate) * up, x += y, y = e^x (as exp_f32), n values.
  void (*swiglu)(const float* gate, const float* up, std::size_t n, float* y) noexcept = nullptr;
  void (*add)(float* x, const float* y, std::size_t n) noexcept = nullptr;
  /// x += factor * y, the product rounded first.
  void (*add_scaled)(float* x, float factor, const float* y, std::size_t n) noexcept = nullptr;
  void (*exp)(const float* x, std::size_t n, float* y) noexcept = nullptr;
  void (*attention)(const AttentionTask& task) noexcept = nullptr;
  /// The same over the latent form: keys and values are [64][k_dim] at key_offset, k_dim a multiple of 16.
  void (*attention_latent)(const AttentionTask& task) noexcept = nullptr;
  /// Merges `count` >= 1 records of kAttentionPartHead + v_stride floats in ascending order (into the first of them)
  /// and writes out[v_dim].
  void (*attention_merge)(float* records, std::size_t count, std::size_t v_dim, std::size_t v_stride,
                          float* out) noexcept = nullptr;
};

}  // namespace minke::kernels
