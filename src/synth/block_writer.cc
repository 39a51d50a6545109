#include "synth/block_writer.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace minke::synth {

namespace {

using formats::DType;

void put_half(std::uint8_t* out, std::uint16_t half) { std::memcpy(out, &half, 2); }

std::uint8_t byte(int value) { return static_cast<std::uint8_t>(value); }

/// 16 bytes, the low nibbles the first 16 values.
void put_nibbles(const std::uint8_t* q, std::uint8_t* out) {
  for (int i = 0; i < 16; ++i) out[i] = byte((q[i] & 15) | q[i + 16] << 4);
}

void put_fifth_bits(const std::uint8_t* q, std::uint8_t* out) {
  std::uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<std::uint32_t>(q[i] >> 4 & 1) << i;
  std::memcpy(out, &bits, 4);
}

/// 64 bytes: two halves of 128 values, four runs of 32 each, two bits a value.
void put_pairs(const std::uint8_t* q, std::uint8_t* out) {
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 32; ++i) {
      int pairs = 0;
      for (int run = 0; run < 4; ++run) pairs |= (q[128 * half + 32 * run + i] & 3) << (2 * run);
      out[32 * half + i] = byte(pairs);
    }
}

/// 128 bytes of nibbles, each 32 bytes two runs of 32 values.
void put_nibble_runs(const std::uint8_t* q, std::uint8_t* out) {
  for (int part = 0; part < 4; ++part)
    for (int i = 0; i < 32; ++i) out[32 * part + i] = byte((q[64 * part + i] & 15) | q[64 * part + 32 + i] << 4);
}

/// Eight scales and eight minima of six bits in 12 bytes.
void put_scales_and_mins(const kernels::CodecBlock& block, std::uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    out[i] = byte((block.scales[i] & 63) | (block.scales[i + 4] >> 4 & 3) << 6);
    out[i + 4] = byte((block.mins[i] & 63) | (block.mins[i + 4] >> 4 & 3) << 6);
    out[i + 8] = byte((block.scales[i + 4] & 15) | (block.mins[i + 4] & 15) << 4);
  }
}

void put_q2_k(const kernels::CodecBlock& block, std::uint8_t* out) {
  for (int i = 0; i < 16; ++i) out[i] = byte((block.scales[i] & 15) | block.mins[i] << 4);
  put_pairs(block.q, out + 16);
  put_half(out + 80, block.d);
  put_half(out + 82, block.m);
}

void put_q3_k(const kernels::CodecBlock& block, std::uint8_t* out) {
  for (int i = 0; i < 32; ++i) {
    int high = 0;
    for (int run = 0; run < 8; ++run) high |= (block.q[32 * run + i] >> 2 & 1) << run;
    out[i] = byte(high);
  }
  put_pairs(block.q, out + 32);
  std::uint8_t* s = out + 96;
  for (int i = 0; i < 8; ++i) s[i] = byte((block.scales[i] & 15) | (block.scales[i + 8] & 15) << 4);
  for (int i = 0; i < 4; ++i) {
    int pairs = 0;
    for (int part = 0; part < 4; ++part) pairs |= (block.scales[4 * part + i] >> 4 & 3) << (2 * part);
    s[8 + i] = byte(pairs);
  }
  put_half(out + 108, block.d);
}

void put_q5_k(const kernels::CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  put_half(out + 2, block.m);
  put_scales_and_mins(block, out + 4);
  for (int i = 0; i < 32; ++i) {
    int high = 0;
    for (int run = 0; run < 8; ++run) high |= (block.q[32 * run + i] >> 4 & 1) << run;
    out[16 + i] = byte(high);
  }
  put_nibble_runs(block.q, out + 48);
}

void put_q6_k(const kernels::CodecBlock& block, std::uint8_t* out) {
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* q = block.q + 128 * half;
    std::uint8_t *low = out + 64 * half, *high = out + 128 + 32 * half;
    for (int i = 0; i < 32; ++i) {
      low[i] = byte((q[i] & 15) | q[i + 64] << 4);
      low[i + 32] = byte((q[i + 32] & 15) | q[i + 96] << 4);
      high[i] =
          byte((q[i] >> 4 & 3) | (q[i + 32] >> 4 & 3) << 2 | (q[i + 64] >> 4 & 3) << 4 | (q[i + 96] >> 4 & 3) << 6);
    }
  }
  std::memcpy(out + 192, block.scales, 16);
  put_half(out + 208, block.d);
}

void put_iq4_xs(const kernels::CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  int high = 0;
  for (int i = 0; i < 8; ++i) {
    const int scale = block.scales[i] + 32;  // kept as int8
    high |= (scale >> 4 & 3) << (2 * i);
    const int shift = 4 * (i % 2);
    out[4 + i / 2] = byte((i % 2 == 0 ? 0 : out[4 + i / 2]) | (scale & 15) << shift);
    put_nibbles(block.q + 32 * i, out + 8 + 16 * i);
  }
  put_half(out + 2, static_cast<std::uint16_t>(high));
}

}  // namespace

void write_block(const kernels::CodecSpec& spec, const kernels::CodecBlock& block, std::uint8_t* out) noexcept {
  switch (spec.dtype) {
    case DType::q4_0:
    case DType::iq4_nl:
      put_half(out, block.d);
      put_nibbles(block.q, out + 2);
      break;
    case DType::q4_1:
      put_half(out, block.d);
      put_half(out + 2, block.m);
      put_nibbles(block.q, out + 4);
      break;
    case DType::q5_0:
      put_half(out, block.d);
      put_fifth_bits(block.q, out + 2);
      put_nibbles(block.q, out + 6);
      break;
    case DType::q5_1:
      put_half(out, block.d);
      put_half(out + 2, block.m);
      put_fifth_bits(block.q, out + 4);
      put_nibbles(block.q, out + 8);
      break;
    case DType::q8_0:
      put_half(out, block.d);
      for (int i = 0; i < 32; ++i) out[2 + i] = block.q[i] ^ 0x80;
      break;
    case DType::q2_k:
      put_q2_k(block, out);
      break;
    case DType::q3_k:
      put_q3_k(block, out);
      break;
    case DType::q4_k:
      put_half(out, block.d);
      put_half(out + 2, block.m);
      put_scales_and_mins(block, out + 4);
      put_nibble_runs(block.q, out + 16);
      break;
    case DType::q5_k:
      put_q5_k(block, out);
      break;
    case DType::q6_k:
      put_q6_k(block, out);
      break;
    case DType::iq4_xs:
      put_iq4_xs(block, out);
      break;
    case DType::mxfp4:
      out[0] = block.scales[0];
      put_nibbles(block.q, out + 1);
      break;
    case DType::iq1_s:
    case DType::iq1_m:
    case DType::iq2_xxs:
    case DType::iq2_xs:
    case DType::iq2_s:
    case DType::iq3_xxs:
    case DType::iq3_s:
      write_grid_block(spec, block, out);
      break;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f8_e4m3:
      break;  // have no blocks
  }
}

std::uint16_t to_half(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const float magnitude = std::fabs(value);
  if (!(magnitude < 65520.0F)) return static_cast<std::uint16_t>(sign | 0x7bffU);
  if (magnitude < 0x1p-14F)  // subnormal: a multiple of 2^-24, rounded by the addition
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(magnitude + 0.5F) - 0x3f000000U));
  const std::uint32_t m = bits & 0x7fffffffU;
  return static_cast<std::uint16_t>(sign | ((m + 0xfffU + (m >> 13 & 1U) - 0x38000000U) >> 13));
}

}  // namespace minke::synth
