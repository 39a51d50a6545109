// Sixteen lanes as one AVX-512 register; names and results as in simd_scalar.h. Needs AVX-512 F, BW, DQ, VL
// and VNNI. Included by isa_avx512.cc and isa_amx.cc alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/x86_rows.h"

namespace {

struct Simd {
  using F = __m512;
  using I = __m512i;
  using B = __m512i;

  static constexpr int kFloatRows = 8;
  static constexpr int kByteRows = 16;
  static constexpr int kFewRows = 16;
  static constexpr int kNarrowRows = 2;
  static constexpr int kWideRows = 2;
  static constexpr int kRegisters = 32;
  static constexpr bool kWideIsSigned = false;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static F load_partial(const float* p, std::size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_partial(float* p, F a, std::size_t n) { _mm512_mask_storeu_ps(p, first(n), a); }
  static F load_bf16(const std::uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(p)), 16));
  }
  static void store_bf16(std::uint16_t* p, F a) {
    // Not vcvtneps2bf16: it flushes subnormals.
    const I u = _mm512_castps_si512(a);
    const I high = _mm512_srli_epi32(u, 16);
    const I odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const I even = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const I quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(even, nan, quiet)));
  }
  static F load_f8(const std::uint8_t* p) {
    const I bytes = _mm512_slli_epi32(_mm512_cvtepi8_epi32(load128(p)), 7);
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_and_si512(bytes, _mm512_set1_epi32(0xbf80))));
  }
  static void load_f8_pair(const std::uint8_t* p, F& first, F& second) {
    // The byte's sign fills the upper one; of what is shifted, bit 14 is the copy that a half's exponent must not have.
    const I words = _mm512_slli_epi16(_mm512_cvtepi8_epi16(load256(p)), 7);
    const I halves = _mm512_and_si512(words, _mm512_set1_epi16(static_cast<short>(0xbf80)));
    first = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    second = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
  }
  static F load_f16(const std::uint16_t* p) { return _mm512_cvtph_ps(load256(p)); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  /// As simd_scalar.h.
  static F max_magnitude(F a, F b) { return _mm512_range_ps(a, b, 0x0b); }
  static F zero_if_less(F a, F b, F x) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), x); }
  static float reduce_add(F a) {
    const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
  }
  static float reduce_max(F a) {
    const __m256 s8 = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
  }

  static I set1_int(std::int32_t x) { return _mm512_set1_epi32(x); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I and_int(I a, I b) { return _mm512_and_si512(a, b); }
  static I max_int(I a, I b) { return _mm512_max_epi32(a, b); }
  static std::int32_t reduce_max_int(I a) {
    const __m256i s8 = _mm256_max_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    const __m128i s4 = _mm_max_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
    const __m128i s2 = _mm_max_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
  }
  static std::int32_t reduce_add_int(I a) {
    const __m256i s8 = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    const __m128i s4 = _mm_add_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
    const __m128i s2 = _mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
  }
  template <int kBits>
  static I shift_left(I a) {
    return _mm512_slli_epi32(a, kBits);
  }
  template <int kBits>
  static I shift_right(I a) {
    return _mm512_srli_epi32(a, kBits);
  }
  static F as_float(I a) { return _mm512_castsi512_ps(a); }
  static I as_int(F a) { return _mm512_castps_si512(a); }
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  static I round_to_int(F a) { return _mm512_cvtps_epi32(a); }
  static void store_bytes_of(std::int8_t* p, I a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }
  static I widen_u8(const std::uint8_t* p) { return _mm512_cvtepu8_epi32(load128(p)); }
  static I widen_i8(const std::int8_t* p) { return _mm512_cvtepi8_epi32(load128(p)); }

  static B load_bytes(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static void store_bytes(std::uint8_t* p, B a) { _mm512_storeu_si512(p, a); }
  static B or_bytes(B a, B b) { return _mm512_or_si512(a, b); }
  static B xor_bytes(B a, std::uint8_t m) { return _mm512_xor_si512(a, _mm512_set1_epi8(static_cast<char>(m))); }
  template <int kRight, int kMask>
  static B move_bits(B a) {
    if constexpr (kRight > 0) {
      a = _mm512_srli_epi16(a, kRight);
    } else if constexpr (kRight < 0) {
      a = _mm512_slli_epi16(a, -kRight);
    }
    return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(kMask)));
  }
  static B lookup(const std::uint8_t* table, B a) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load128(table)), a);
  }
  /// As simd_scalar.h.
  static B scaled_bytes(B w, I factor, I addend) {
    const I bytes = _mm512_set1_epi16(0xff);
    const I even = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_and_si512(w, bytes), factor), addend);
    const I odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srli_epi16(w, 8), factor), addend);
    constexpr int kFirstWhereSet = 0xca;  // a ? b : c
    return _mm512_ternarylogic_epi32(bytes, _mm512_srli_epi16(even, 8), odd, kFirstWhereSet);
  }
  static I twice_low(I a) {
    return _mm512_shuffle_epi8(
        a, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13)));
  }
  static I add_halves(I a, I b) { return _mm512_add_epi16(a, b); }
  static I sub_halves(I a, I b) { return _mm512_sub_epi16(a, b); }
  template <int kBits>
  static I shift_halves(I a) {
    return _mm512_slli_epi16(a, kBits);
  }
  template <int kByte>
  static I byte_of(B a) {
    return _mm512_and_si512(_mm512_srli_epi32(a, 8 * kByte), _mm512_set1_epi32(0xff));
  }
  /// The table's rows of 16 outputs as two steps: their first four bytes, their last.
  template <typename Index>
  static void look_up_eights(const std::uint64_t* table, const Index* index, B& low, B& high) {
    const F first = eights(table, index), second = eights(table, index + 2);
    low = _mm512_castps_si512(_mm512_shuffle_ps(first, second, 0x88));
    high = _mm512_castps_si512(_mm512_shuffle_ps(first, second, 0xdd));
  }
  /// The table's rows of 16 outputs.
  template <typename Index>
  static B look_up_fours(const std::uint32_t* table, const Index* index) {
    return joined(X86Rows::fours(table, index), X86Rows::fours(table, index + 4), X86Rows::fours(table, index + 8),
                  X86Rows::fours(table, index + 12));
  }
  static void load_bf16_pairs(const std::uint16_t* p, F& even, F& odd) {
    const I a = _mm512_loadu_si512(p);
    even = _mm512_castsi512_ps(_mm512_slli_epi32(a, 16));
    odd = _mm512_castsi512_ps(_mm512_and_si512(a, _mm512_set1_epi32(-65536)));
  }
  static void load_f16_pairs(const std::uint16_t* p, F& even, F& odd) {
    const I a = _mm512_loadu_si512(p);
    even = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a));
    odd = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(a, 16)));
  }

  template <int kRows, int kSteps, std::size_t kStride, int kMax>
  static void dot_narrow(I* sum, const B* w, const std::int8_t* x) {
    dot_wide<kRows, kSteps, kStride>(sum, w, x);
  }
  template <int kRows, int kSteps, std::size_t kStride>
  static void dot_wide(I* sum, const B* w, const std::int8_t* x) {
#pragma GCC unroll 8
    for (std::size_t s = 0; s < kSteps; ++s) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < kRows; ++r) {
        std::int32_t four;
        std::memcpy(&four, x + kStride * r + 4 * s, 4);
        sum[r] = _mm512_dpbusd_epi32(sum[r], w[s], _mm512_set1_epi32(four));
      }
    }
  }

 private:
  static __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static I joined(__m128i a, __m128i b, __m128i c, __m128i d) {
    const I two = _mm512_inserti32x4(_mm512_castsi128_si512(a), b, 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(two, c, 2), d, 3);
  }
  /// Rows of outputs 0, 1, 4, 5, 8, 9, 12, 13.
  template <typename Index>
  static F eights(const std::uint64_t* table, const Index* index) {
    return _mm512_castsi512_ps(joined(X86Rows::two_eights(table, index), X86Rows::two_eights(table, index + 4),
                                      X86Rows::two_eights(table, index + 8), X86Rows::two_eights(table, index + 12)));
  }
  static __mmask16 first(std::size_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
};

}  // namespace
