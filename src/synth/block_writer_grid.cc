// The blocks of IQ1, IQ2 and IQ3: indices into ggml's tables instead of integers.
#include <cstring>

#include "synth/block_writer.h"

namespace minke::synth {

namespace {

using formats::DType;
using kernels::CodecBlock;

void put_half(std::uint8_t* out, std::uint16_t half) { std::memcpy(out, &half, 2); }

std::uint8_t byte(unsigned value) { return static_cast<std::uint8_t>(value); }

/// Of values 8 i .. 8 i + 7, bit v for value v.
unsigned signs(const CodecBlock& block, int i) {
  unsigned bits = 0;
  for (int v = 0; v < 8; ++v) bits |= (block.q[8 * i + v] >> 3 & 1U) << v;
  return bits;
}

/// Four times seven signs, the eighth follows from them; above them a scale.
void put_signs_and_scale(const CodecBlock& block, int group, std::uint8_t* out) {
  std::uint32_t word = std::uint32_t{block.scales[group]} << 28;
  for (int j = 0; j < 4; ++j) word |= (signs(block, 4 * group + j) & 127U) << (7 * j);
  std::memcpy(out, &word, 4);
}

void put_scale_nibbles(const CodecBlock& block, int count, std::uint8_t* out) {
  for (int i = 0; i < count / 2; ++i) out[i] = byte(block.scales[2 * i] | unsigned{block.scales[2 * i + 1]} << 4);
}

/// The lowest eight bits of `count` indices.
void put_low_indices(const CodecBlock& block, int count, std::uint8_t* out) {
  for (int i = 0; i < count; ++i) out[i] = byte(block.index[i]);
}

void put_iq1_s(const CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  put_low_indices(block, 32, out + 2);
  for (int g = 0; g < 8; ++g) {
    unsigned word = unsigned{block.scales[g]} << 12 | (signs(block, 4 * g) & 1U) << 15;
    for (int j = 0; j < 4; ++j) word |= (block.index[4 * g + j] >> 8U & 7U) << (3 * j);
    put_half(out + 34 + 2 * g, static_cast<std::uint16_t>(word));
  }
}

void put_iq1_m(const CodecBlock& block, std::uint8_t* out) {
  put_low_indices(block, 32, out);
  const auto nibble = [&](int i) { return (block.index[i] >> 8U & 7U) | (signs(block, i) & 1U) << 3; };
  for (int i = 0; i < 16; ++i) out[32 + i] = byte(nibble(2 * i) | nibble(2 * i + 1) << 4);
  for (int k = 0; k < 4; ++k) {
    unsigned word = (block.d >> (4 * k) & 15U) << 12;
    for (int i = 0; i < 4; ++i) word |= (block.scales[4 * k + i] & 7U) << (3 * i);
    put_half(out + 48 + 2 * k, static_cast<std::uint16_t>(word));
  }
}

void put_iq2_xxs(const CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  for (int g = 0; g < 8; ++g) {
    for (int j = 0; j < 4; ++j) out[2 + 8 * g + j] = byte(block.index[4 * g + j]);
    put_signs_and_scale(block, g, out + 6 + 8 * g);
  }
}

void put_iq2_xs(const CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  for (int i = 0; i < 32; ++i)
    put_half(out + 2 + 2 * i, static_cast<std::uint16_t>(block.index[i] | (signs(block, i) & 127U) << 9));
  put_scale_nibbles(block, 16, out + 66);
}

void put_iq2_s(const CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  put_low_indices(block, 32, out + 2);
  for (int i = 0; i < 32; ++i) out[34 + i] = byte(signs(block, i));
  for (int g = 0; g < 8; ++g) {
    unsigned high = 0;
    for (int j = 0; j < 4; ++j) high |= (block.index[4 * g + j] >> 8U & 3U) << (2 * j);
    out[66 + g] = byte(high);
  }
  put_scale_nibbles(block, 16, out + 74);
}

void put_iq3_xxs(const CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  put_low_indices(block, 64, out + 2);
  for (int g = 0; g < 8; ++g) put_signs_and_scale(block, g, out + 66 + 4 * g);
}

void put_iq3_s(const CodecBlock& block, std::uint8_t* out) {
  put_half(out, block.d);
  put_low_indices(block, 64, out + 2);
  for (int g = 0; g < 8; ++g) {
    unsigned high = 0;
    for (int j = 0; j < 8; ++j) high |= (block.index[8 * g + j] >> 8U & 1U) << j;
    out[66 + g] = byte(high);
  }
  for (int i = 0; i < 32; ++i) out[74 + i] = byte(signs(block, i));
  put_scale_nibbles(block, 8, out + 106);
}

}  // namespace

void write_grid_block(const kernels::CodecSpec& spec, const CodecBlock& block, std::uint8_t* out) noexcept {
  switch (spec.dtype) {
    case DType::iq1_s:
      return put_iq1_s(block, out);
    case DType::iq1_m:
      return put_iq1_m(block, out);
    case DType::iq2_xxs:
      return put_iq2_xxs(block, out);
    case DType::iq2_xs:
      return put_iq2_xs(block, out);
    case DType::iq2_s:
      return put_iq2_s(block, out);
    case DType::iq3_xxs:
      return put_iq3_xxs(block, out);
    case DType::iq3_s:
      return put_iq3_s(block, out);
    default:
      return;  // have no indices
  }
}

}  // namespace minke::synth
