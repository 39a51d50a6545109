// Products of activations with packed tiles. Included by the isa_*.cc after Simd.
//
// One vector holds 16 outputs, so no sum ever crosses lanes. kernel_table.h states the order of the sums, which
// nothing here changes.

// clang-format off
#include "kernels/isa/linear_rows.inl"
#include "kernels/isa/linear_bytes.inl"
#include "kernels/isa/linear_float.inl"
// clang-format on

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
      return linear_f8(task);
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
