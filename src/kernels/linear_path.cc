#include "kernels/linear_path.h"

#include "kernels/codec.h"

namespace minke::kernels {

std::string_view linear_path(Isa isa, formats::DType dtype, Numerics numerics) noexcept {
  const CodecSpec* codec = find_codec(dtype);
  const bool integers = codec != nullptr && numerics == Numerics::fast;
  if (isa == Isa::amx && numerics == Numerics::fast && multiplies_as_halves(dtype))
    return "bf16: matrix tiles, activations rounded to it";
  if (isa == Isa::amx && integers) {
    return has_integer_blocks(*codec) ? "int8: matrix tiles, 256 inputs a sum; up to 8 rows vpdpbusd"
                                      : "int8: matrix tiles, 32 inputs a sum; below 24 rows vpdpbusd";
  }
  if (isa == Isa::avx512 || isa == Isa::amx)
    return integers ? "int8: vpdpbusd, 64 products a step" : "fp32: vfmadd, 16 lanes";
  if (isa == Isa::avx2 && integers) {
    // Products of 4 bits by 8 leave room in int16 for several steps (simd_avx2.h).
    return codec->low_bits + codec->high_bits <= 4 ? "int8: vpmaddubsw, sums in int16 over several steps"
                                                   : "int8: vpmaddubsw and vpmaddwd, 32 products a step";
  }
  if (isa == Isa::avx2) return "fp32: vfmadd, 8 lanes";
  if (isa == Isa::scalar) return integers ? "int8: plain C++" : "fp32: plain C++";
  return integers ? "int8" : "fp32";
}

}  // namespace minke::kernels
