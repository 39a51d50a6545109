// Products of activations with packed tiles. Included by the isa_*.cc after Simd.
//
// One vector holds 16 outputs, so no sum ever crosses lanes. kernel_table.h states the order of the sums, which
// nothing here changes.

// clang-format off
#include "kernels/isa/tile.inl"
#include "kernels/isa/grid.inl"
// clang-format on

namespace {

/// Inputs decoded at once, which are also the inputs of one fp32 partial sum.
constexpr std::size_t kSumInputs = 256;
/// Rows that share a decoded tile: their sums take 8 KiB.
constexpr std::size_t kChunkRows = 128;
static_assert(kChunkRows % minke::kernels::kActivationRows == 0);

/// Sums of a chunk of rows for one tile.
struct alignas(64) ChunkSums {
  float v[kChunkRows][16];
};

/// Calls multiply(count) for runs of rows: kMost at a time, then halves down to 1.
template <int kMost, typename Multiply>
[[gnu::always_inline]] inline void in_runs(std::size_t rows, const Multiply& multiply) {
  std::size_t row = 0;
  for (; rows - row >= kMost; row += kMost) multiply.template run<kMost>(row);
  if constexpr (kMost > 8) {
    if ((rows - row) & 8) multiply.template run<8>(row), row += 8;
  }
  if constexpr (kMost > 4) {
    if ((rows - row) & 4) multiply.template run<4>(row), row += 4;
  }
  if constexpr (kMost > 2) {
    if ((rows - row) & 2) multiply.template run<2>(row), row += 2;
  }
  if constexpr (kMost > 1) {
    if ((rows - row) & 1) multiply.template run<1>(row);
  }
}

}  // namespace

#include "kernels/isa/linear_bytes.inl"
#include "kernels/isa/linear_float.inl"

namespace {

void linear_float(const LinearTask& task) noexcept {
  switch (task.dtype) {
    case DType::f32:
      return task.rows == 1 ? linear_plain_row<DType::f32>(task) : linear_float_with(task, nullptr);
    case DType::f16:
      return task.rows == 1 ? linear_plain_row<DType::f16>(task) : linear_float_with(task, &decode_pairs<true>);
    case DType::bf16:
      return task.rows == 1 ? linear_plain_row<DType::bf16>(task) : linear_float_with(task, &decode_pairs<false>);
    case DType::q4_0:
      return linear_float_with(task, &decode_quantised<DType::q4_0>);
    case DType::q4_1:
      return linear_float_with(task, &decode_quantised<DType::q4_1>);
    case DType::q5_0:
      return linear_float_with(task, &decode_quantised<DType::q5_0>);
    case DType::q5_1:
      return linear_float_with(task, &decode_quantised<DType::q5_1>);
    case DType::q8_0:
      return linear_float_with(task, &decode_quantised<DType::q8_0>);
    case DType::q2_k:
      return linear_float_with(task, &decode_quantised<DType::q2_k>);
    case DType::q3_k:
      return linear_float_with(task, &decode_quantised<DType::q3_k>);
    case DType::q4_k:
      return linear_float_with(task, &decode_quantised<DType::q4_k>);
    case DType::q5_k:
      return linear_float_with(task, &decode_quantised<DType::q5_k>);
    case DType::q6_k:
      return linear_float_with(task, &decode_quantised<DType::q6_k>);
    case DType::iq4_nl:
      return linear_float_with(task, &decode_quantised<DType::iq4_nl>);
    case DType::iq4_xs:
      return linear_float_with(task, &decode_quantised<DType::iq4_xs>);
    case DType::iq1_s:
      return linear_float_with(task, &decode_quantised<DType::iq1_s>);
    case DType::iq1_m:
      return linear_float_with(task, &decode_quantised<DType::iq1_m>);
    case DType::iq2_xxs:
      return linear_float_with(task, &decode_quantised<DType::iq2_xxs>);
    case DType::iq2_xs:
      return linear_float_with(task, &decode_quantised<DType::iq2_xs>);
    case DType::iq2_s:
      return linear_float_with(task, &decode_quantised<DType::iq2_s>);
    case DType::iq3_xxs:
      return linear_float_with(task, &decode_quantised<DType::iq3_xxs>);
    case DType::iq3_s:
      return linear_float_with(task, &decode_quantised<DType::iq3_s>);
    case DType::mxfp4:
      return linear_float_with(task, &decode_quantised<DType::mxfp4>);
    case DType::f8_e4m3:
      return linear_float_with(task, &decode_f8);
  }
}

void linear_bytes(const LinearTask& task) noexcept {
  switch (task.dtype) {
    case DType::q4_0:
      return linear_bytes_of<DType::q4_0>(task);
    case DType::q4_1:
      return linear_bytes_of<DType::q4_1>(task);
    case DType::q5_0:
      return linear_bytes_of<DType::q5_0>(task);
    case DType::q5_1:
      return linear_bytes_of<DType::q5_1>(task);
    case DType::q8_0:
      return linear_bytes_of<DType::q8_0>(task);
    case DType::q2_k:
      return linear_bytes_of<DType::q2_k>(task);
    case DType::q3_k:
      return linear_bytes_of<DType::q3_k>(task);
    case DType::q4_k:
      return linear_bytes_of<DType::q4_k>(task);
    case DType::q5_k:
      return linear_bytes_of<DType::q5_k>(task);
    case DType::q6_k:
      return linear_bytes_of<DType::q6_k>(task);
    case DType::iq4_nl:
      return linear_bytes_of<DType::iq4_nl>(task);
    case DType::iq4_xs:
      return linear_bytes_of<DType::iq4_xs>(task);
    case DType::iq1_s:
      return linear_bytes_of<DType::iq1_s>(task);
    case DType::iq1_m:
      return linear_bytes_of<DType::iq1_m>(task);
    case DType::iq2_xxs:
      return linear_bytes_of<DType::iq2_xxs>(task);
    case DType::iq2_xs:
      return linear_bytes_of<DType::iq2_xs>(task);
    case DType::iq2_s:
      return linear_bytes_of<DType::iq2_s>(task);
    case DType::iq3_xxs:
      return linear_bytes_of<DType::iq3_xxs>(task);
    case DType::iq3_s:
      return linear_bytes_of<DType::iq3_s>(task);
    case DType::mxfp4:
      return linear_bytes_of<DType::mxfp4>(task);
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f8_e4m3:
      return;  // these keep fp32 activations
  }
}

}  // namespace
