// Sixteen lanes without any instruction set: the definition that every other backend must match bit for
// bit. Included by isa_scalar.cc alone; simd_avx2.h and simd_avx512.h have the same names.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

struct Simd {
  /// 16 floats, 16 int32, and a weight tile of 16 lanes x 4 bytes.
  struct F {
    float v[16];
  };
  struct I {
    std::int32_t v[16];
  };
  struct B {
    std::uint8_t v[64];
  };

  /// Rows of activations that a product keeps in registers at once: fp32 products, integer
  /// products with integers that lie decoded in memory.
  static constexpr int kFloatRows = 1;
  static constexpr int kByteRows = 1;
  /// Rows that share a tile's integers while those are in registers.
  static constexpr int kFewRows = 1;
  /// Rows that dot_narrow() and dot_wide() take at once. AVX-512: 2, since a chain of products per row fills the
  /// scheduler (5 to 8 % faster than 1 on Zen 4, 4 no faster). AVX2: 1 and 4; more rows spill sums, but share what
  /// dot_wide() makes of a weight (14 % faster).
  static constexpr int kNarrowRows = 1;
  static constexpr int kWideRows = 1;
  /// How many F the registers hold: what the size of a tile of sums is chosen by.
  static constexpr int kRegisters = 8;
  /// Whether dot_wide() takes its bytes as already freed of their offset of 128 (see there).
  static constexpr bool kWideIsSigned = false;

  // --- Floats -------------------------------------------------------------------------------------------
  static F zero() { return {}; }
  static F set1(float x) {
    F r;
    for (float& lane : r.v) lane = x;
    return r;
  }
  static F load(const float* p) {
    F r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static void store(float* p, F a) { std::memcpy(p, a.v, sizeof a.v); }
  /// The first n (0..16) lanes; the others are 0.
  static F load_partial(const float* p, std::size_t n) {
    F r = zero();
    std::memcpy(r.v, p, n * sizeof(float));
    return r;
  }
  static void store_partial(float* p, F a, std::size_t n) { std::memcpy(p, a.v, n * sizeof(float)); }
  /// BF16 (upper half of a float) widened.
  static F load_bf16(const std::uint16_t* p) {
    I r;
    for (int i = 0; i < 16; ++i) r.v[i] = static_cast<std::int32_t>(std::uint32_t{p[i]} << 16);
    return as_float(r);
  }
  /// Rounded to nearest even; a NaN stays one (quiet, upper payload bits kept).
  static void store_bf16(std::uint16_t* p, F a) {
    const I bits = as_int(a);
    for (int i = 0; i < 16; ++i) {
      const auto u = static_cast<std::uint32_t>(bits.v[i]);
      const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
      p[i] = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40U : (u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
    }
  }
  /// Sixteen FP8 values (E4M3, no NaN among them), exactly a 256th of each: with the exponent where a half has it,
  /// whose bias is 8 more; subnormals stay subnormal.
  static F load_f8(const std::uint8_t* p) {
    F r;
    for (int i = 0; i < 16; ++i)
      r.v[i] = half_value(static_cast<std::uint16_t>((p[i] & 0x80U) << 8 | (p[i] & 0x7fU) << 7));
    return r;
  }
  /// Of 32 bytes the first sixteen and the others.
  static void load_f8_pair(const std::uint8_t* p, F& first, F& second) {
    first = load_f8(p);
    second = load_f8(p + 16);
  }
  /// IEEE halves widened (finite ones; exact).
  static F load_f16(const std::uint16_t* p) {
    F r;
    for (int i = 0; i < 16; ++i) r.v[i] = half_value(p[i]);
    return r;
  }

  static F add(F a, F b) {
    for (int i = 0; i < 16; ++i) a.v[i] += b.v[i];
    return a;
  }
  static F sub(F a, F b) {
    for (int i = 0; i < 16; ++i) a.v[i] -= b.v[i];
    return a;
  }
  static F mul(F a, F b) {
    for (int i = 0; i < 16; ++i) a.v[i] *= b.v[i];
    return a;
  }
  static F div(F a, F b) {
    for (int i = 0; i < 16; ++i) a.v[i] /= b.v[i];
    return a;
  }
  /// a * b + c, rounded once.
  static F fma(F a, F b, F c) {
    for (int i = 0; i < 16; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
    return c;
  }
  /// a > b ? a : b per lane (b when unordered), as x86 maxps.
  static F max(F a, F b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
  }
  /// The larger of |a| and |b|; of a NaN and a number any of them.
  static F max_magnitude(F a, F b) {
    for (int i = 0; i < 16; ++i) {
      const float x = a.v[i] < 0 ? -a.v[i] : a.v[i], y = b.v[i] < 0 ? -b.v[i] : b.v[i];
      a.v[i] = x >= y ? x : y;
    }
    return a;
  }
  static F min(F a, F b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
    return a;
  }
  /// a < b ? 0 : x per lane (x when unordered).
  static F zero_if_less(F a, F b, F x) {
    for (int i = 0; i < 16; ++i) x.v[i] = a.v[i] < b.v[i] ? 0.0F : x.v[i];
    return x;
  }
  /// The sum of all lanes in the one fixed tree: lane i + lane i+8, then +4, +2, +1.
  static float reduce_add(F a) {
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    return a.v[0];
  }
  static float reduce_max(F a) {
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
    return a.v[0];
  }

  // --- Integers -----------------------------------------------------------------------------------------
  static I set1_int(std::int32_t x) {
    I r;
    for (std::int32_t& lane : r.v) lane = x;
    return r;
  }
  static I add_int(I a, I b) {
    for (int i = 0; i < 16; ++i)
      a.v[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.v[i]) + static_cast<std::uint32_t>(b.v[i]));
    return a;
  }
  static I sub_int(I a, I b) {
    for (int i = 0; i < 16; ++i)
      a.v[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(a.v[i]) - static_cast<std::uint32_t>(b.v[i]));
    return a;
  }
  static I and_int(I a, I b) {
    for (int i = 0; i < 16; ++i) a.v[i] &= b.v[i];
    return a;
  }
  static I max_int(I a, I b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
  }
  static std::int32_t reduce_max_int(I a) {
    std::int32_t m = a.v[0];
    for (const std::int32_t lane : a.v) m = lane > m ? lane : m;
    return m;
  }
  static std::int32_t reduce_add_int(I a) {
    std::uint32_t sum = 0;
    for (const std::int32_t lane : a.v) sum += static_cast<std::uint32_t>(lane);
    return static_cast<std::int32_t>(sum);
  }
  template <int kBits>
  static I shift_left(I a) {
    for (std::int32_t& lane : a.v) lane = static_cast<std::int32_t>(static_cast<std::uint32_t>(lane) << kBits);
    return a;
  }
  template <int kBits>
  static I shift_right(I a) {  // logical
    for (std::int32_t& lane : a.v) lane = static_cast<std::int32_t>(static_cast<std::uint32_t>(lane) >> kBits);
    return a;
  }
  static F as_float(I a) {
    F r;
    std::memcpy(r.v, a.v, sizeof r.v);
    return r;
  }
  static I as_int(F a) {
    I r;
    std::memcpy(r.v, a.v, sizeof r.v);
    return r;
  }
  static F to_float(I a) {
    F r;
    for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(a.v[i]);
    return r;
  }
  /// To nearest even. |a| must be below 2^31.
  static I round_to_int(F a) {
    I r;
    for (int i = 0; i < 16; ++i) r.v[i] = static_cast<std::int32_t>(__builtin_rintf(a.v[i]));
    return r;
  }
  /// The low bytes of the lanes (values -128..127).
  static void store_bytes_of(std::int8_t* p, I a) {
    for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(a.v[i]);
  }
  static I widen_u8(const std::uint8_t* p) {
    I r;
    for (int i = 0; i < 16; ++i) r.v[i] = p[i];
    return r;
  }
  static I widen_i8(const std::int8_t* p) {
    I r;
    for (int i = 0; i < 16; ++i) r.v[i] = static_cast<std::int32_t>(p[i]);  // NOLINT(bugprone-signed-char-misuse)
    return r;
  }

  // --- Weight tiles -------------------------------------------------------------------------------------
  static B load_bytes(const std::uint8_t* p) {
    B r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static void store_bytes(std::uint8_t* p, B a) { std::memcpy(p, a.v, sizeof a.v); }
  static B or_bytes(B a, B b) {
    for (int i = 0; i < 64; ++i) a.v[i] |= b.v[i];
    return a;
  }
  static B xor_bytes(B a, std::uint8_t mask) {
    for (std::uint8_t& byte : a.v) byte ^= mask;
    return a;
  }
  /// (byte >> kRight) & kMask; a negative kRight shifts left. kMask may hold no bit that the shift brings in.
  template <int kRight, int kMask>
  static B move_bits(B a) {
    for (std::uint8_t& byte : a.v) {
      if constexpr (kRight >= 0) {
        byte = static_cast<std::uint8_t>(byte >> kRight & kMask);
      } else {
        byte = static_cast<std::uint8_t>(byte << -kRight & kMask);
      }
    }
    return a;
  }
  /// table[byte], bytes below 16.
  static B lookup(const std::uint8_t* table, B a) {
    for (std::uint8_t& byte : a.v) byte = table[byte];
    return a;
  }
  /// Byte i of each 16-bit half h: (byte * factor[h] + addend[h]) >> 8, in 16 bits that wrap.
  static B scaled_bytes(B w, I factor, I addend) {
    for (int i = 0; i < 64; ++i) {
      const auto sum = static_cast<std::uint32_t>(w.v[i]) * half_of(factor, i / 2) + half_of(addend, i / 2);
      w.v[i] = static_cast<std::uint8_t>(sum >> 8);
    }
    return w;
  }
  /// Each lane's lower half in both.
  static I twice_low(I a) {
    for (std::int32_t& lane : a.v)
      lane = two_halves(static_cast<std::uint32_t>(lane), static_cast<std::uint32_t>(lane));
    return a;
  }
  static I add_halves(I a, I b) {
    for (int i = 0; i < 16; ++i)
      a.v[i] = two_halves(half_of(a, 2 * i) + half_of(b, 2 * i), half_of(a, 2 * i + 1) + half_of(b, 2 * i + 1));
    return a;
  }
  static I sub_halves(I a, I b) {
    for (int i = 0; i < 16; ++i)
      a.v[i] = two_halves(half_of(a, 2 * i) - half_of(b, 2 * i), half_of(a, 2 * i + 1) - half_of(b, 2 * i + 1));
    return a;
  }
  template <int kBits>
  static I shift_halves(I a) {
    for (int i = 0; i < 16; ++i) a.v[i] = two_halves(half_of(a, 2 * i) << kBits, half_of(a, 2 * i + 1) << kBits);
    return a;
  }
  /// Byte kByte (0..3) of each lane.
  template <int kByte>
  static I byte_of(B a) {
    I r;
    for (int i = 0; i < 16; ++i) r.v[i] = a.v[4 * i + kByte];
    return r;
  }
  /// The table's rows of 16 outputs as two steps: their first four bytes, their last.
  template <typename Index>
  static void look_up_eights(const std::uint64_t* table, const Index* index, B& low, B& high) {
    for (std::size_t n = 0; n < 16; ++n) {
      const std::uint64_t row = table[index[n]];
      const auto first = static_cast<std::uint32_t>(row), second = static_cast<std::uint32_t>(row >> 32);
      std::memcpy(low.v + 4 * n, &first, 4);
      std::memcpy(high.v + 4 * n, &second, 4);
    }
  }
  /// The table's rows of 16 outputs.
  template <typename Index>
  static B look_up_fours(const std::uint32_t* table, const Index* index) {
    B step;
    for (std::size_t n = 0; n < 16; ++n) std::memcpy(step.v + 4 * n, table + index[n], 4);
    return step;
  }
  /// 16 lanes x (even, odd) BF16 widened.
  static void load_bf16_pairs(const std::uint16_t* p, F& even, F& odd) {
    std::uint16_t e[16], o[16];
    for (int i = 0; i < 16; ++i) {
      e[i] = p[2 * i];
      o[i] = p[2 * i + 1];
    }
    even = load_bf16(e);
    odd = load_bf16(o);
  }
  static void load_f16_pairs(const std::uint16_t* p, F& even, F& odd) {
    for (int i = 0; i < 16; ++i) {
      even.v[i] = half_value(p[2 * i]);
      odd.v[i] = half_value(p[2 * i + 1]);
    }
  }

  /// Adds to sum[r], for kRows rows, per lane the integer product of kSteps tiles with the row's bytes at
  /// x + kStride * r: sum_s sum_i w[s][lane][i] * x[4 s + i]. Weights are unsigned and at most kMax <= 127, so that
  /// backends may add products in 16 bits; |x| <= 127.
  template <int kRows, int kSteps, std::size_t kStride, int kMax>
  static void dot_narrow(I* sum, const B* w, const std::int8_t* x) {
    dot_wide<kRows, kSteps, kStride>(sum, w, x);
  }
  /// The same for weights up to 255. Where kWideIsSigned they count 128 less.
  template <int kRows, int kSteps, std::size_t kStride>
  static void dot_wide(I* sum, const B* w, const std::int8_t* x) {
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t s = 0; s < kSteps; ++s)
        for (int i = 0; i < 16; ++i)
          for (std::size_t j = 0; j < 4; ++j) sum[r].v[i] += w[s].v[4 * i + j] * x[kStride * r + 4 * s + j];
  }

 private:
  /// Half i of 32.
  static std::uint32_t half_of(const I& a, int i) {
    return static_cast<std::uint32_t>(a.v[i / 2]) >> (i % 2 * 16) & 0xffffU;
  }
  static std::int32_t two_halves(std::uint32_t low, std::uint32_t high) {
    return static_cast<std::int32_t>((low & 0xffffU) | high << 16);
  }
  static float half_value(std::uint16_t h) {
    const std::uint32_t sign = (h & 0x8000U) << 16;
    const std::uint32_t magnitude = h & 0x7fffU;
    // Exponent rebiased by a multiplication, which also normalises subnormals; exact.
    std::uint32_t bits = magnitude << 13;
    float value;
    std::memcpy(&value, &bits, 4);
    value *= 0x1p112F;
    std::memcpy(&bits, &value, 4);
    bits |= sign;
    std::memcpy(&value, &bits, 4);
    return value;
  }
};

}  // namespace
