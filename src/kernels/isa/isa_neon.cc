#include "kernels/isa/simd_neon.h"
#include "kernels/kernel_table.h"

// The algorithms, compiled here for this instruction set; later ones use earlier ones.
// clang-format off
#include "kernels/isa/exp.inl"
#include "kernels/isa/elementwise.inl"
#include "kernels/isa/attention_splits.inl"
#include "kernels/isa/attention.inl"
#include "kernels/isa/attention_latent.inl"
#include "kernels/isa/linear.inl"
#include "kernels/isa/quantize.inl"
// clang-format on

namespace minke::kernels {

constinit const KernelTable kNeonTable = {
    .name = "neon",
    .linear_float = &linear_float,
    .linear_bytes = &linear_bytes,
    .quantize_row = &quantize_row,
    .rows = kRowKernels,
};

}  // namespace minke::kernels
