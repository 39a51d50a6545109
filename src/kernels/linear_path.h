// Which arithmetic a product takes, in words: for `minke doctor`.
#pragma once

#include <string_view>

#include "formats/dtype.h"
#include "kernels/isa.h"
#include "kernels/numerics.h"

namespace minke::kernels {

/// "int8: vpdpbusd, ...", "fp32: vfmadd, ...": type of the activations and the instruction. What Ops::linear does with
/// weights of `dtype`.
std::string_view linear_path(Isa isa, formats::DType dtype, Numerics numerics) noexcept;

}  // namespace minke::kernels
