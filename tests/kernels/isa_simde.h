// AVX-512 spelt in portable C++ for isa_simde_test.cc: SIMDe, plus what its 0.7.4 lacks. Include first: it
// renames the intrinsics that src/kernels/isa/simd_avx512.h uses, so a new one there needs a line here.
#pragma once

// 64-byte vectors are passed around without AVX-512, all inside one translation unit.
#pragma GCC diagnostic ignored "-Wpsabi"

#include <immintrin.h>
// After the real ones, whose names the macros below take over.
#include <simde/x86/avx512.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace simde_missing {

template <typename To, typename From>
To bits_of(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

struct F16 {
  float v[16];
};
struct I16 {
  std::int32_t v[16];
};

/// SIMDe multiplies and adds with two roundings where the processor has no FMA.
inline simde__m512 fmadd(simde__m512 a, simde__m512 b, simde__m512 c) {
  const auto x = bits_of<F16>(a), y = bits_of<F16>(b);
  auto z = bits_of<F16>(c);
  for (int i = 0; i < 16; ++i) z.v[i] = __builtin_fmaf(x.v[i], y.v[i], z.v[i]);
  return bits_of<simde__m512>(z);
}
inline simde__m512 int_to_float(simde__m512i a) {
  const auto x = bits_of<I16>(a);
  F16 y;
  for (int i = 0; i < 16; ++i) y.v[i] = static_cast<float>(x.v[i]);
  return bits_of<simde__m512>(y);
}
inline simde__m512i float_to_int(simde__m512 a) {
  const auto x = bits_of<F16>(a);
  I16 y;
  for (int i = 0; i < 16; ++i) {
    const float rounded = __builtin_rintf(x.v[i]);
    y.v[i] = rounded >= -0x1p31F && rounded < 0x1p31F ? static_cast<std::int32_t>(rounded) : INT32_MIN;
  }
  return bits_of<simde__m512i>(y);
}
/// To unsigned or signed Element, cutting off the upper bits.
template <typename Vector, typename Element>
Vector narrow(simde__m512i a) {
  const auto x = bits_of<I16>(a);
  Element y[16];
  for (int i = 0; i < 16; ++i) y[i] = static_cast<Element>(x.v[i]);
  Vector out;
  static_assert(sizeof out == sizeof y);
  std::memcpy(&out, y, sizeof out);
  return out;
}
template <typename Element, typename Vector>
simde__m512i widen(Vector a) {
  Element x[16];
  static_assert(sizeof a == sizeof x);
  std::memcpy(x, &a, sizeof x);
  I16 y;
  for (int i = 0; i < 16; ++i) y.v[i] = x[i];
  return bits_of<simde__m512i>(y);
}
/// Finite halves.
inline simde__m512 half_to_float(simde__m256i a) {
  std::uint16_t x[16];
  std::memcpy(x, &a, sizeof x);
  F16 y;
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t exponent = x[i] >> 10 & 31U, fraction = x[i] & 1023U;
    const float magnitude =
        exponent == 0 ? static_cast<float>(fraction) * 0x1p-24F
                      : __builtin_ldexpf(static_cast<float>(fraction + 1024U), static_cast<int>(exponent) - 25);
    y.v[i] = (x[i] & 0x8000U) != 0 ? -magnitude : magnitude;
  }
  return bits_of<simde__m512>(y);
}
inline simde__m256 upper_half(simde__m512 a) {
  simde__m256 out;
  std::memcpy(&out, reinterpret_cast<const char*>(&a) + 32, 32);
  return out;
}
inline simde__m512 masked_load(std::uint16_t mask, const float* p) {
  F16 y{};
  for (int i = 0; i < 16; ++i)
    if ((mask >> i & 1) != 0) y.v[i] = p[i];
  return bits_of<simde__m512>(y);
}
inline void masked_store(float* p, std::uint16_t mask, simde__m512 a) {
  const auto x = bits_of<F16>(a);
  for (int i = 0; i < 16; ++i)
    if ((mask >> i & 1) != 0) p[i] = x.v[i];
}

/// Where Element `at` of a vector, of the same or a larger one, is replaced.
template <typename Vector, typename Element>
Vector insert(const Vector& a, const Element& x, int at) {
  Vector out = a;
  std::memcpy(reinterpret_cast<char*>(&out) + sizeof x * static_cast<std::size_t>(at), &x, sizeof x);
  return out;
}
template <typename Vector, typename Element>
Vector widened(const Element& x) {
  return insert(Vector{}, x, 0);
}
/// Of each four lanes two of a, two of b.
inline simde__m512 shuffle(simde__m512 a, simde__m512 b, unsigned lanes) {
  const auto x = bits_of<F16>(a), y = bits_of<F16>(b);
  F16 z;
  for (unsigned i = 0; i < 16; ++i) z.v[i] = (i % 4 < 2 ? x : y).v[i / 4 * 4 + (lanes >> (2 * (i % 4)) & 3U)];
  return bits_of<simde__m512>(z);
}

}  // namespace simde_missing

#define __m128 simde__m128
#define __m128i simde__m128i
#define __m256 simde__m256
#define __m256i simde__m256i
#define __m512 simde__m512
#define __m512i simde__m512i
#define __mmask16 simde__mmask16
#undef _mm256_add_epi32
#define _mm256_add_epi32 simde_mm256_add_epi32
#undef _mm256_add_ps
#define _mm256_add_ps simde_mm256_add_ps
#undef _mm256_castps256_ps128
#define _mm256_castps256_ps128 simde_mm256_castps256_ps128
#undef _mm256_castsi256_si128
#define _mm256_castsi256_si128 simde_mm256_castsi256_si128
#undef _mm256_extractf128_ps
#define _mm256_extractf128_ps simde_mm256_extractf128_ps
#undef _mm256_extracti128_si256
#define _mm256_extracti128_si256 simde_mm256_extracti128_si256
#undef _mm256_loadu_si256
#define _mm256_loadu_si256 simde_mm256_loadu_si256
#undef _mm256_max_epi32
#define _mm256_max_epi32 simde_mm256_max_epi32
#undef _mm256_max_ps
#define _mm256_max_ps simde_mm256_max_ps
#undef _mm256_storeu_si256
#define _mm256_storeu_si256 simde_mm256_storeu_si256
#undef _mm512_add_epi32
#define _mm512_add_epi32 simde_mm512_add_epi32
#undef _mm512_add_ps
#define _mm512_add_ps simde_mm512_add_ps
#undef _mm512_and_si512
#define _mm512_and_si512 simde_mm512_and_si512
#undef _mm512_broadcast_i32x4
#define _mm512_broadcast_i32x4 simde_mm512_broadcast_i32x4
#undef _mm512_castps512_ps256
#define _mm512_castps512_ps256 simde_mm512_castps512_ps256
#undef _mm512_castps_si512
#define _mm512_castps_si512 simde_mm512_castps_si512
#undef _mm512_castsi128_si512
#define _mm512_castsi128_si512 simde_missing::widened<simde__m512i>
#undef _mm512_castsi512_ps
#define _mm512_castsi512_ps simde_mm512_castsi512_ps
#undef _mm512_castsi512_si256
#define _mm512_castsi512_si256 simde_mm512_castsi512_si256
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask simde_mm512_cmp_ps_mask
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16 simde_missing::narrow<simde__m256i, std::uint16_t>
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8 simde_missing::narrow<simde__m128i, std::uint8_t>
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps simde_missing::int_to_float
#undef _mm512_cvtepi8_epi16
#define _mm512_cvtepi8_epi16 simde_mm512_cvtepi8_epi16
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32 simde_missing::widen<std::int8_t>
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32 simde_missing::widen<std::uint16_t>
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32 simde_missing::widen<std::uint8_t>
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps simde_missing::half_to_float
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32 simde_missing::float_to_int
#undef _mm512_div_ps
#define _mm512_div_ps simde_mm512_div_ps
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32 simde_mm512_dpbusd_epi32
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, part) simde_missing::upper_half(a)
#undef _mm512_extracti64x4_epi64
#define _mm512_extracti64x4_epi64 simde_mm512_extracti64x4_epi64
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps simde_missing::fmadd
#undef _mm512_inserti32x4
#define _mm512_inserti32x4 simde_missing::insert
#undef _mm512_loadu_ps
#define _mm512_loadu_ps simde_mm512_loadu_ps
#undef _mm512_loadu_si512
#define _mm512_loadu_si512 simde_mm512_loadu_si512
#undef _mm512_mask_mov_epi32
#define _mm512_mask_mov_epi32 simde_mm512_mask_mov_epi32
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps simde_missing::masked_store
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps simde_missing::masked_load
#undef _mm512_maskz_mov_ps
#define _mm512_maskz_mov_ps simde_mm512_maskz_mov_ps
#undef _mm512_max_epi32
#define _mm512_max_epi32 simde_mm512_max_epi32
#undef _mm512_max_ps
#define _mm512_max_ps simde_mm512_max_ps
#undef _mm512_min_ps
#define _mm512_min_ps simde_mm512_min_ps
#undef _mm512_mul_ps
#define _mm512_mul_ps simde_mm512_mul_ps
#undef _mm512_or_si512
#define _mm512_or_si512 simde_mm512_or_si512
#undef _mm512_set1_epi16
#define _mm512_set1_epi16 simde_mm512_set1_epi16
#undef _mm512_set1_epi32
#define _mm512_set1_epi32 simde_mm512_set1_epi32
#undef _mm512_set1_epi8
#define _mm512_set1_epi8 simde_mm512_set1_epi8
#undef _mm512_set1_ps
#define _mm512_set1_ps simde_mm512_set1_ps
#undef _mm512_setzero_ps
#define _mm512_setzero_ps simde_mm512_setzero_ps
#undef _mm512_shuffle_epi8
#define _mm512_shuffle_epi8 simde_mm512_shuffle_epi8
#undef _mm512_shuffle_ps
#define _mm512_shuffle_ps simde_missing::shuffle
#undef _mm512_slli_epi16
#define _mm512_slli_epi16 simde_mm512_slli_epi16
#undef _mm512_slli_epi16
#define _mm512_slli_epi16 simde_mm512_slli_epi16
#undef _mm512_slli_epi32
#define _mm512_slli_epi32 simde_mm512_slli_epi32
#undef _mm512_mullo_epi16
#define _mm512_mullo_epi16 simde_mm512_mullo_epi16
#undef _mm512_add_epi16
#define _mm512_add_epi16 simde_mm512_add_epi16
#undef _mm512_range_ps
#define _mm512_range_ps simde_mm512_range_ps
#undef _mm512_sub_epi16
#define _mm512_sub_epi16 simde_mm512_sub_epi16
#undef _mm512_ternarylogic_epi32
#define _mm512_ternarylogic_epi32 simde_mm512_ternarylogic_epi32
#undef _mm512_srli_epi16
#define _mm512_srli_epi16 simde_mm512_srli_epi16
#undef _mm512_srli_epi32
#define _mm512_srli_epi32 simde_mm512_srli_epi32
#undef _mm512_storeu_ps
#define _mm512_storeu_ps simde_mm512_storeu_ps
#undef _mm512_storeu_si512
#define _mm512_storeu_si512 simde_mm512_storeu_si512
#undef _mm512_sub_epi32
#define _mm512_sub_epi32 simde_mm512_sub_epi32
#undef _mm512_sub_ps
#define _mm512_sub_ps simde_mm512_sub_ps
#undef _mm512_xor_si512
#define _mm512_xor_si512 simde_mm512_xor_si512
#undef _mm_add_epi32
#define _mm_add_epi32 simde_mm_add_epi32
#undef _mm_add_ps
#define _mm_add_ps simde_mm_add_ps
#undef _mm_add_ss
#define _mm_add_ss simde_mm_add_ss
#undef _mm_cvtsi128_si32
#define _mm_cvtsi128_si32 simde_mm_cvtsi128_si32
#undef _mm_cvtsi32_si128
#define _mm_cvtsi32_si128 simde_missing::widened<simde__m128i>
#undef _mm_cvtsi64_si128
#define _mm_cvtsi64_si128 simde_missing::widened<simde__m128i>
#undef _mm_cvtss_f32
#define _mm_cvtss_f32 simde_mm_cvtss_f32
#undef _mm_insert_epi32
#define _mm_insert_epi32 simde_missing::insert
#undef _mm_insert_epi64
#define _mm_insert_epi64 simde_missing::insert
#undef _mm_loadu_si128
#define _mm_loadu_si128 simde_mm_loadu_si128
#undef _mm_max_epi32
#define _mm_max_epi32 simde_mm_max_epi32
#undef _mm_max_ps
#define _mm_max_ps simde_mm_max_ps
#undef _mm_max_ss
#define _mm_max_ss simde_mm_max_ss
#undef _mm_movehl_ps
#define _mm_movehl_ps simde_mm_movehl_ps
#undef _mm_shuffle_epi32
#define _mm_shuffle_epi32 simde_mm_shuffle_epi32
#undef _mm_shuffle_ps
#define _mm_shuffle_ps simde_mm_shuffle_ps
#undef _mm_storeu_si128
#define _mm_storeu_si128 simde_mm_storeu_si128
