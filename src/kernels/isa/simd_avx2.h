// Sixteen lanes as two AVX registers; names and results as in simd_scalar.h. Needs AVX2, FMA, F16C.
// Included by isa_avx2.cc alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/x86_rows.h"

namespace {

struct Simd {
  struct F {
    __m256 lo, hi;
  };
  struct I {
    __m256i lo, hi;
  };
  struct B {
    __m256i lo, hi;
  };

  static constexpr int kFloatRows = 4;
  static constexpr int kByteRows = 4;
  static constexpr int kFewRows = 4;
  static constexpr int kNarrowRows = 1;
  static constexpr int kWideRows = 4;
  static constexpr int kRegisters = 8;
  static constexpr bool kWideIsSigned = true;

  static F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, F a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
  }
  static F load_partial(const float* p, std::size_t n) {
    return {_mm256_maskload_ps(p, mask(n, 0)), _mm256_maskload_ps(p + 8, mask(n, 8))};
  }
  static void store_partial(float* p, F a, std::size_t n) {
    _mm256_maskstore_ps(p, mask(n, 0), a.lo);
    _mm256_maskstore_ps(p + 8, mask(n, 8), a.hi);
  }
  static F load_bf16(const std::uint16_t* p) {
    const auto widen = [](const std::uint16_t* q) {
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(q)), 16));
    };
    return {widen(p), widen(p + 8)};
  }
  static void store_bf16(std::uint16_t* p, F a) {
    const auto round = [](__m256 value) {
      const __m256i u = _mm256_castps_si256(value);
      const __m256i high = _mm256_srli_epi32(u, 16);
      const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
      const __m256i even = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
      const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
      const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
      return _mm256_blendv_epi8(even, quiet, nan);
    };
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(round(a.lo), round(a.hi)), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
  }
  static F load_f8(const std::uint8_t* p) {
    // The byte's sign fills the upper one; of what is shifted, bit 14 is the copy that a half's exponent must not have.
    const __m256i words = _mm256_slli_epi16(_mm256_cvtepi8_epi16(load128(p)), 7);
    const __m256i halves = _mm256_and_si256(words, _mm256_set1_epi16(static_cast<short>(0xbf80)));
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))};
  }
  static void load_f8_pair(const std::uint8_t* p, F& first, F& second) {
    first = load_f8(p);
    second = load_f8(p + 16);
  }
  static F load_f16(const std::uint16_t* p) { return {_mm256_cvtph_ps(load128(p)), _mm256_cvtph_ps(load128(p + 8))}; }

  static F add(F a, F b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
  static F sub(F a, F b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
  static F mul(F a, F b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
  static F div(F a, F b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
  static F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
  static F max(F a, F b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
  static F min(F a, F b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
  static F zero_if_less(F a, F b, F x) {
    return {_mm256_andnot_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), x.lo),
            _mm256_andnot_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ), x.hi)};
  }
  static float reduce_add(F a) {
    const __m256 s8 = _mm256_add_ps(a.lo, a.hi);
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
  }
  static float reduce_max(F a) {
    const __m256 s8 = _mm256_max_ps(a.lo, a.hi);
    const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
  }

  static I set1_int(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
  static I add_int(I a, I b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
  static I sub_int(I a, I b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
  static I and_int(I a, I b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
  static I max_int(I a, I b) { return {_mm256_max_epi32(a.lo, b.lo), _mm256_max_epi32(a.hi, b.hi)}; }
  static std::int32_t reduce_max_int(I a) {
    const __m256i s8 = _mm256_max_epi32(a.lo, a.hi);
    const __m128i s4 = _mm_max_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
    const __m128i s2 = _mm_max_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
  }
  static std::int32_t reduce_add_int(I a) {
    const __m256i s8 = _mm256_add_epi32(a.lo, a.hi);
    const __m128i s4 = _mm_add_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
    const __m128i s2 = _mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
  }
  template <int kBits>
  static I shift_left(I a) {
    return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
  }
  template <int kBits>
  static I shift_right(I a) {
    return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
  }
  static F as_float(I a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
  static I as_int(F a) { return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }
  static F to_float(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
  static I round_to_int(F a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
  static void store_bytes_of(std::int8_t* p, I a) {
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }
  static I widen_u8(const std::uint8_t* p) {
    const __m128i v = load128(p);
    return {_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(v, v))};
  }
  static I widen_i8(const std::int8_t* p) {
    const __m128i v = load128(p);
    return {_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(v, v))};
  }

  static B load_bytes(const std::uint8_t* p) { return {load256(p), load256(p + 32)}; }
  static void store_bytes(std::uint8_t* p, B a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), a.hi);
  }
  static B or_bytes(B a, B b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
  static B xor_bytes(B a, std::uint8_t m) {
    const __m256i k = _mm256_set1_epi8(static_cast<char>(m));
    return {_mm256_xor_si256(a.lo, k), _mm256_xor_si256(a.hi, k)};
  }
  template <int kRight, int kMask>
  static B move_bits(B a) {
    const __m256i k = _mm256_set1_epi8(static_cast<char>(kMask));
    if constexpr (kRight > 0) {
      a = {_mm256_srli_epi16(a.lo, kRight), _mm256_srli_epi16(a.hi, kRight)};
    } else if constexpr (kRight < 0) {
      a = {_mm256_slli_epi16(a.lo, -kRight), _mm256_slli_epi16(a.hi, -kRight)};
    }
    return {_mm256_and_si256(a.lo, k), _mm256_and_si256(a.hi, k)};
  }
  static B lookup(const std::uint8_t* table, B a) {
    const __m256i t = _mm256_broadcastsi128_si256(load128(table));
    return {_mm256_shuffle_epi8(t, a.lo), _mm256_shuffle_epi8(t, a.hi)};
  }
  template <int kByte>
  static I byte_of(B a) {
    const __m256i k = _mm256_set1_epi32(0xff);
    return {_mm256_and_si256(_mm256_srli_epi32(a.lo, 8 * kByte), k),
            _mm256_and_si256(_mm256_srli_epi32(a.hi, 8 * kByte), k)};
  }
  template <typename Index>
  static void look_up_eights(const std::uint64_t* table, const Index* index, B& low, B& high) {
    const F first = eights(table, index), second = eights(table, index + 2);
    low = {_mm256_castps_si256(_mm256_shuffle_ps(first.lo, second.lo, 0x88)),
           _mm256_castps_si256(_mm256_shuffle_ps(first.hi, second.hi, 0x88))};
    high = {_mm256_castps_si256(_mm256_shuffle_ps(first.lo, second.lo, 0xdd)),
            _mm256_castps_si256(_mm256_shuffle_ps(first.hi, second.hi, 0xdd))};
  }
  template <typename Index>
  static B look_up_fours(const std::uint32_t* table, const Index* index) {
    return {joined(X86Rows::fours(table, index), X86Rows::fours(table, index + 4)),
            joined(X86Rows::fours(table, index + 8), X86Rows::fours(table, index + 12))};
  }
  static void load_bf16_pairs(const std::uint16_t* p, F& even, F& odd) {
    const __m256i a = load256(p), b = load256(p + 16), high = _mm256_set1_epi32(-65536);
    even = {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
    odd = {_mm256_castsi256_ps(_mm256_and_si256(a, high)), _mm256_castsi256_ps(_mm256_and_si256(b, high))};
  }
  static void load_f16_pairs(const std::uint16_t* p, F& even, F& odd) {
    const __m256i a = load256(p), b = load256(p + 16), low = _mm256_set1_epi32(0xffff);
    const __m256i e =
        _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low)), 0xd8);
    const __m256i o =
        _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16)), 0xd8);
    even = {_mm256_cvtph_ps(_mm256_castsi256_si128(e)), _mm256_cvtph_ps(_mm256_extracti128_si256(e, 1))};
    odd = {_mm256_cvtph_ps(_mm256_castsi256_si128(o)), _mm256_cvtph_ps(_mm256_extracti128_si256(o, 1))};
  }

  template <int kRows, int kSteps, std::size_t kStride, int kMax>
  static void dot_narrow(I* sum, const B* w, const std::int8_t* x) {
    // A pair of products is at most 2 * 127 * kMax; this many fit 16 bits, and cost one addition in 32 bits.
    constexpr int kFits = 32767 / (254 * kMax), kFit = kFits < kSteps ? kFits : kSteps;
    static_assert(kSteps % kFit == 0);
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
    for (std::size_t first = 0; first < kSteps; first += kFit) {
      __m256i lo[kRows], hi[kRows];
#pragma GCC unroll 8
      for (std::size_t s = first; s < first + kFit; ++s) {
        const B weights = w[s];
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) {
          const __m256i xs = broadcast4(x + kStride * r + 4 * s);
          const __m256i l = _mm256_maddubs_epi16(weights.lo, xs), h = _mm256_maddubs_epi16(weights.hi, xs);
          lo[r] = s == first ? l : _mm256_add_epi16(lo[r], l);
          hi[r] = s == first ? h : _mm256_add_epi16(hi[r], h);
        }
      }
#pragma GCC unroll 8
      for (std::size_t r = 0; r < kRows; ++r) {
        sum[r].lo = _mm256_add_epi32(sum[r].lo, _mm256_madd_epi16(lo[r], ones));
        sum[r].hi = _mm256_add_epi32(sum[r].hi, _mm256_madd_epi16(hi[r], ones));
      }
    }
  }
  /// maddubs saturates with bytes above 127, so the sign moves from the weight to x: |w - 128| <= 128 as
  /// unsigned, and 2 * 128 * 127 fits 16 bits.
  template <int kRows, int kSteps, std::size_t kStride>
  static void dot_wide(I* sum, const B* w, const std::int8_t* x) {
    const __m256i ones = _mm256_set1_epi16(1), offset = _mm256_set1_epi8(-128);
#pragma GCC unroll 8
    for (std::size_t s = 0; s < kSteps; ++s) {
      const B v = {_mm256_xor_si256(w[s].lo, offset), _mm256_xor_si256(w[s].hi, offset)};
      const B size = {_mm256_abs_epi8(v.lo), _mm256_abs_epi8(v.hi)};
#pragma GCC unroll 8
      for (std::size_t r = 0; r < kRows; ++r) {
        const __m256i xs = broadcast4(x + kStride * r + 4 * s);
        const __m256i l = _mm256_maddubs_epi16(size.lo, _mm256_sign_epi8(xs, v.lo));
        const __m256i h = _mm256_maddubs_epi16(size.hi, _mm256_sign_epi8(xs, v.hi));
        sum[r].lo = _mm256_add_epi32(sum[r].lo, _mm256_madd_epi16(l, ones));
        sum[r].hi = _mm256_add_epi32(sum[r].hi, _mm256_madd_epi16(h, ones));
      }
    }
  }

 private:
  static __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static __m256i broadcast4(const std::int8_t* p) {
    std::int32_t four;
    std::memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
  }
  static __m256i joined(__m128i a, __m128i b) { return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1); }
  /// Rows of outputs 0, 1, 4, 5; 8, 9, 12, 13.
  template <typename Index>
  static F eights(const std::uint64_t* table, const Index* index) {
    return {_mm256_castsi256_ps(joined(X86Rows::two_eights(table, index), X86Rows::two_eights(table, index + 4))),
            _mm256_castsi256_ps(joined(X86Rows::two_eights(table, index + 8), X86Rows::two_eights(table, index + 12)))};
  }
  /// Lanes first .. first + 7 that are below n.
  static __m256i mask(std::size_t n, int first) {
    const __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
  }
};

}  // namespace
