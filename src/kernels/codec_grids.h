// The codebooks of ggml's IQ1, IQ2 and IQ3 types: what an index stands for.
#pragma once

#include <cstdint>

namespace minke::kernels {

/// Per index the codes of 8 (IQ3: 4) consecutive inputs, one byte each, the first in the lowest. A code is a place
/// in the type's Codebook (codec.h), without the sign's bit 3.
struct GridTables {
  std::uint64_t iq1[2048];
  std::uint64_t iq2_xxs[256];
  std::uint64_t iq2_xs[512];
  std::uint64_t iq2_s[1024];
  std::uint32_t iq3_xxs[256];
  std::uint32_t iq3_s[512];
};
extern const GridTables kGridTables;

}  // namespace minke::kernels
