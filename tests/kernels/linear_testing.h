// Shared by the tests of packed weights and linear products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "formats/dtype.h"

namespace minke::kernels::testing {

inline constexpr formats::DType kAllTypes[] = {
    formats::DType::f32,     formats::DType::f16,     formats::DType::bf16,   formats::DType::q4_0,
    formats::DType::q4_1,    formats::DType::q5_0,    formats::DType::q5_1,   formats::DType::q8_0,
    formats::DType::q2_k,    formats::DType::q3_k,    formats::DType::q4_k,   formats::DType::q5_k,
    formats::DType::q6_k,    formats::DType::iq4_nl,  formats::DType::iq4_xs, formats::DType::iq1_s,
    formats::DType::iq1_m,   formats::DType::iq2_xxs, formats::DType::iq2_xs, formats::DType::iq2_s,
    formats::DType::iq3_xxs, formats::DType::iq3_s,   formats::DType::mxfp4,
};

/// Offsets of the fp16 scales in a block (ggml-common.h); -1: none.
struct HalfOffsets {
  int d, m;
};
inline HalfOffsets half_offsets(formats::DType type) {
  using formats::DType;
  switch (type) {
    case DType::q4_1:
    case DType::q5_1:
    case DType::q4_k:
    case DType::q5_k:
      return {0, 2};
    case DType::q2_k:
      return {80, 82};
    case DType::q3_k:
      return {108, -1};
    case DType::q6_k:
      return {208, -1};
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f8_e4m3:
      return {-1, -1};
    default:
      return {0, -1};
  }
}

/// Values in [-1, 1), from a counter generator.
inline std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(2 * base::uniform(seed, 1, i) - 1);
  return values;
}

/// A finite half of magnitude 2^-8 .. 2^-5, either sign.
inline std::uint16_t random_half(std::uint64_t seed, std::uint64_t position) {
  const auto bits = static_cast<std::uint32_t>(base::uniform(seed, 2, position) * 0x10000);
  return static_cast<std::uint16_t>((bits & 0x83ffU) | (7U + (bits >> 10 & 3U) % 3U) << 10);
}

/// Gives every block of a quantised type ordinary scales.
inline void set_scales(formats::DType type, std::vector<std::byte>& bytes, std::uint64_t seed) {
  using formats::DType;
  const std::size_t size = formats::info(type).block_bytes;
  const HalfOffsets at = half_offsets(type);
  for (std::size_t i = 0; i < bytes.size() / size; ++i) {
    std::byte* block = bytes.data() + i * size;
    const std::uint16_t d = random_half(seed, 2 * i), m = random_half(seed, 2 * i + 1);
    if (type == DType::mxfp4) {
      block[0] = static_cast<std::byte>(118 + d % 8);
    } else if (type == DType::iq1_m) {  // a nibble in each of four words
      for (std::size_t k = 0; k < 4; ++k) {
        std::byte& high = block[49 + 2 * k];
        high = static_cast<std::byte>((static_cast<unsigned>(high) & 15U) | (d >> (4 * k) & 15U) << 4);
      }
    } else {
      std::memcpy(block + at.d, &d, 2);
      if (at.m >= 0) std::memcpy(block + at.m, &m, 2);
    }
  }
}

/// A file's bytes for a matrix: random bits as quants, ordinary scales.
inline std::vector<std::byte> random_weights(formats::DType type, std::size_t rows, std::size_t cols,
                                             std::uint64_t seed) {
  using formats::DType;
  const formats::DTypeInfo& t = formats::info(type);
  const std::size_t blocks = rows * cols / t.block_elements;
  std::vector<std::byte> bytes(blocks * t.block_bytes);
  if (t.block_elements == 1) {
    const std::vector<float> values = random_values(blocks, seed);
    for (std::size_t i = 0; i < blocks; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, &values[i], 4);
      if (type == DType::bf16) bits >>= 16;
      if (type == DType::f16) bits = random_half(seed, i);
      if (type == DType::f8_e4m3) bits = (bits & 0x7f) == 0x7f ? 0x38 : bits;  // no NaN
      std::memcpy(bytes.data() + i * t.block_bytes, &bits, t.block_bytes);
    }
    return bytes;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(base::uniform(seed, 3, i) * 256);
  set_scales(type, bytes, seed);
  return bytes;
}

}  // namespace minke::kernels::testing
