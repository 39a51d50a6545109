// The blocks of GGUF files (ggml's ggml-common.h has the structs), read into integers and scales.
#include <bit>
#include <cstring>

#include "kernels/codec.h"

namespace minke::kernels {
namespace {

using formats::DType;

std::uint16_t half_at(const std::uint8_t* p) { return static_cast<std::uint16_t>(p[0] | p[1] << 8); }

/// 16 bytes of nibbles: the low ones are the first 16 values.
void read_nibbles(const std::uint8_t* p, std::uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = p[i] & 15;
    q[i + 16] = p[i] >> 4;
  }
}

/// 32 high bits, bit i for value i.
void read_fifth_bits(const std::uint8_t* p, std::uint8_t* q) {
  std::uint32_t bits;
  std::memcpy(&bits, p, 4);
  for (int i = 0; i < 32; ++i) q[i] = static_cast<std::uint8_t>(q[i] | (bits >> i & 1U) << 4);
}

/// 64 bytes of bit pairs in two halves of 128 values, four runs of 32 each.
void read_pairs(const std::uint8_t* p, std::uint8_t* q) {
  for (int half = 0; half < 2; ++half)
    for (int run = 0; run < 4; ++run)
      for (int i = 0; i < 32; ++i)
        q[128 * half + 32 * run + i] = static_cast<std::uint8_t>(p[32 * half + i] >> (2 * run) & 3);
}

/// The 12 bytes of eight 6-bit scales and eight 6-bit minima of Q4_K and Q5_K.
void read_scales_and_mins(const std::uint8_t* p, CodecBlock& out) {
  for (int i = 0; i < 4; ++i) {
    out.scales[i] = p[i] & 63;
    out.mins[i] = p[i + 4] & 63;
    out.scales[i + 4] = static_cast<std::uint8_t>((p[i + 8] & 15) | (p[i] >> 6) << 4);
    out.mins[i + 4] = static_cast<std::uint8_t>((p[i + 8] >> 4) | (p[i + 4] >> 6) << 4);
  }
}

/// 128 bytes of nibbles, each 32 bytes two runs of 32 values.
void read_nibble_runs(const std::uint8_t* p, std::uint8_t* q) {
  for (int part = 0; part < 4; ++part) {
    for (int i = 0; i < 32; ++i) {
      q[64 * part + i] = p[32 * part + i] & 15;
      q[64 * part + 32 + i] = p[32 * part + i] >> 4;
    }
  }
}

void read_q2_k(const std::uint8_t* p, CodecBlock& out) {
  for (int i = 0; i < 16; ++i) {
    out.scales[i] = p[i] & 15;
    out.mins[i] = p[i] >> 4;
  }
  read_pairs(p + 16, out.q);
  out.d = half_at(p + 80);
  out.m = half_at(p + 82);
}

void read_q3_k(const std::uint8_t* p, CodecBlock& out) {
  read_pairs(p + 32, out.q);
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      out.q[32 * run + i] = static_cast<std::uint8_t>(out.q[32 * run + i] | (p[i] >> run & 1) << 2);
  const std::uint8_t* s = p + 96;
  for (int i = 0; i < 16; ++i) {
    const int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
    out.scales[i] = static_cast<std::uint8_t>(low | (s[8 + i % 4] >> (2 * (i / 4)) & 3) << 4);
  }
  out.d = half_at(p + 108);
}

void read_q5_k(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  out.m = half_at(p + 2);
  read_scales_and_mins(p + 4, out);
  read_nibble_runs(p + 48, out.q);
  for (int run = 0; run < 8; ++run)
    for (int i = 0; i < 32; ++i)
      out.q[32 * run + i] = static_cast<std::uint8_t>(out.q[32 * run + i] | (p[16 + i] >> run & 1) << 4);
}

void read_q6_k(const std::uint8_t* p, CodecBlock& out) {
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t *low = p + 64 * half, *high = p + 128 + 32 * half;
    std::uint8_t* q = out.q + 128 * half;
    for (int i = 0; i < 32; ++i) {
      q[i] = static_cast<std::uint8_t>((low[i] & 15) | (high[i] & 3) << 4);
      q[i + 32] = static_cast<std::uint8_t>((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4);
      q[i + 64] = static_cast<std::uint8_t>(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
      q[i + 96] = static_cast<std::uint8_t>(low[i + 32] >> 4 | high[i] >> 6 << 4);
    }
  }
  std::memcpy(out.scales, p + 192, 16);
  out.d = half_at(p + 208);
}

void read_iq4_xs(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  const int high = half_at(p + 2);
  for (int i = 0; i < 8; ++i) {
    const int scale = (p[4 + i / 2] >> (4 * (i % 2)) & 15) | (high >> (2 * i) & 3) << 4;
    out.scales[i] = static_cast<std::uint8_t>(scale - 32);
    read_nibbles(p + 8 + 16 * i, out.q + 32 * i);
  }
}

std::uint32_t word_at(const std::uint8_t* p) {
  std::uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

/// Signs of values 8 i .. 8 i + 7, bit v set for a negative one, into bit 3 of the codes.
void put_signs(std::uint8_t* q, int i, unsigned signs) {
  for (int v = 0; v < 8; ++v) q[8 * i + v] = static_cast<std::uint8_t>((signs >> v & 1U) << 3);
}

/// Seven signs; the eighth makes the number of negative ones even.
void put_even_signs(std::uint8_t* q, int i, unsigned signs) {
  signs &= 127U;
  put_signs(q, i, signs | (static_cast<unsigned>(std::popcount(signs)) & 1U) << 7);
}

/// Four times seven signs and a scale of four bits.
void read_signs_and_scale(const std::uint8_t* p, int group, CodecBlock& out) {
  const std::uint32_t word = word_at(p);
  for (int j = 0; j < 4; ++j) put_even_signs(out.q, 4 * group + j, word >> (7 * j));
  out.scales[group] = static_cast<std::uint8_t>(word >> 28);
}

void read_scale_nibbles(const std::uint8_t* p, int count, CodecBlock& out) {
  for (int i = 0; i < count; ++i) out.scales[i] = p[i / 2] >> (4 * (i % 2)) & 15;
}

void set_index(CodecBlock& out, int i, unsigned low, unsigned high) {
  out.index[i] = static_cast<std::uint16_t>(low | high << 8);
}

void read_iq1_s(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  for (int g = 0; g < 8; ++g) {
    const unsigned word = half_at(p + 34 + 2 * g);
    out.scales[g] = static_cast<std::uint8_t>(word >> 12 & 7U);
    for (int j = 0; j < 4; ++j) {
      set_index(out, 4 * g + j, p[2 + 4 * g + j], word >> (3 * j) & 7U);
      put_signs(out.q, 4 * g + j, (word >> 15) * 255U);
    }
  }
}

void read_iq1_m(const std::uint8_t* p, CodecBlock& out) {
  // The half has no place of its own: its nibbles are the highest of the four words of scales.
  unsigned d = 0;
  for (int k = 0; k < 4; ++k) {
    const unsigned word = half_at(p + 48 + 2 * k);
    d |= (word >> 12) << (4 * k);
    for (int i = 0; i < 4; ++i) out.scales[4 * k + i] = static_cast<std::uint8_t>(word >> (3 * i) & 7U);
  }
  out.d = static_cast<std::uint16_t>(d);
  for (int i = 0; i < 32; ++i) {
    const unsigned nibble = p[32 + i / 2] >> (4 * (i % 2)) & 15U;
    set_index(out, i, p[i], nibble & 7U);
    put_signs(out.q, i, (nibble >> 3) * 255U);
  }
}

void read_iq2_xxs(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  for (int g = 0; g < 8; ++g) {
    for (int j = 0; j < 4; ++j) set_index(out, 4 * g + j, p[2 + 8 * g + j], 0);
    read_signs_and_scale(p + 2 + 8 * g + 4, g, out);
  }
}

void read_iq2_xs(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  for (int i = 0; i < 32; ++i) {
    const unsigned word = half_at(p + 2 + 2 * i);
    set_index(out, i, word & 255U, word >> 8 & 1U);
    put_even_signs(out.q, i, word >> 9);
  }
  read_scale_nibbles(p + 66, 16, out);
}

void read_iq2_s(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  for (int i = 0; i < 32; ++i) {
    set_index(out, i, p[2 + i], p[66 + i / 4] >> (2 * (i % 4)) & 3U);
    put_signs(out.q, i, p[34 + i]);
  }
  read_scale_nibbles(p + 74, 16, out);
}

void read_iq3_xxs(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  for (int i = 0; i < 64; ++i) set_index(out, i, p[2 + i], 0);
  for (int g = 0; g < 8; ++g) read_signs_and_scale(p + 66 + 4 * g, g, out);
}

void read_iq3_s(const std::uint8_t* p, CodecBlock& out) {
  out.d = half_at(p);
  for (int i = 0; i < 64; ++i) set_index(out, i, p[2 + i], p[66 + i / 8] >> (i % 8) & 1U);
  for (int i = 0; i < 32; ++i) put_signs(out.q, i, p[74 + i]);
  read_scale_nibbles(p + 106, 8, out);
}

}  // namespace

void read_block(const CodecSpec& spec, const std::uint8_t* p, CodecBlock& out) noexcept {
  switch (spec.dtype) {
    case DType::q4_0:
    case DType::iq4_nl:
      out.d = half_at(p);
      read_nibbles(p + 2, out.q);
      break;
    case DType::q4_1:
      out.d = half_at(p);
      out.m = half_at(p + 2);
      read_nibbles(p + 4, out.q);
      break;
    case DType::q5_0:
      out.d = half_at(p);
      read_nibbles(p + 6, out.q);
      read_fifth_bits(p + 2, out.q);
      break;
    case DType::q5_1:
      out.d = half_at(p);
      out.m = half_at(p + 2);
      read_nibbles(p + 8, out.q);
      read_fifth_bits(p + 4, out.q);
      break;
    case DType::q8_0:
      out.d = half_at(p);
      for (int i = 0; i < 32; ++i) out.q[i] = p[2 + i] ^ 0x80;
      break;
    case DType::q2_k:
      read_q2_k(p, out);
      break;
    case DType::q3_k:
      read_q3_k(p, out);
      break;
    case DType::q4_k:
      out.d = half_at(p);
      out.m = half_at(p + 2);
      read_scales_and_mins(p + 4, out);
      read_nibble_runs(p + 16, out.q);
      break;
    case DType::q5_k:
      read_q5_k(p, out);
      break;
    case DType::q6_k:
      read_q6_k(p, out);
      break;
    case DType::iq4_xs:
      read_iq4_xs(p, out);
      break;
    case DType::iq1_s:
      read_iq1_s(p, out);
      break;
    case DType::iq1_m:
      read_iq1_m(p, out);
      break;
    case DType::iq2_xxs:
      read_iq2_xxs(p, out);
      break;
    case DType::iq2_xs:
      read_iq2_xs(p, out);
      break;
    case DType::iq2_s:
      read_iq2_s(p, out);
      break;
    case DType::iq3_xxs:
      read_iq3_xxs(p, out);
      break;
    case DType::iq3_s:
      read_iq3_s(p, out);
      break;
    case DType::mxfp4:
      out.d = 0;
      out.scales[0] = p[0];
      read_nibbles(p + 1, out.q);
      break;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f8_e4m3:
      break;
  }
  if (spec.grid.table != Grid::none) read_grid(spec, out);
}

}  // namespace minke::kernels
