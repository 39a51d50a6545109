#include <immintrin.h>

#include "kernels/peak_table.h"

namespace minke::kernels {
namespace {

constexpr int kChains = 10;  // latency 4-5 by two units, and registers to spare
constexpr int kInt16Steps = 8;

std::uint64_t fp32(std::uint64_t steps) noexcept {
  __m256 sums[kChains];
  for (auto& sum : sums) sum = _mm256_set1_ps(1.0F);
  __m256 a = _mm256_set1_ps(1.0001F), b = _mm256_set1_ps(0.9999F);
  for (std::uint64_t step = 0; step < steps; ++step) {
    asm volatile("" : "+x"(a), "+x"(b));  // unknown to the compiler, so that no step can be left out
    for (auto& sum : sums) sum = _mm256_fmadd_ps(a, b, sum);
  }
  for (auto& sum : sums) asm volatile("" : : "x"(sum));
  return steps * kChains * 2 * 8;
}

/// u8 x s8 as AVX2 has it: pairs into int16, pairs of those into int32, added.
std::uint64_t int8(std::uint64_t steps) noexcept {
  __m256i sums[kChains];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::uint64_t step = 0; step < steps; ++step) {
    for (auto& sum : sums) {
      asm volatile("" : "+x"(a), "+x"(b));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  for (auto& sum : sums) asm volatile("" : : "x"(sum));
  return steps * kChains * 2 * 32;
}

/// 4-bit weights: 15 * 127 * 2 * 8 fits int16, so only every eighth step widens.
std::uint64_t int4(std::uint64_t steps) noexcept {
  constexpr int kWide = 4;
  __m256i sums[kWide];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::uint64_t step = 0; step < steps; ++step) {
    for (auto& sum : sums) {
      __m256i narrow = _mm256_maddubs_epi16(a, b);
      for (int i = 1; i < kInt16Steps; ++i) {
        asm volatile("" : "+x"(a), "+x"(b));
        narrow = _mm256_add_epi16(narrow, _mm256_maddubs_epi16(a, b));
      }
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, ones));
    }
  }
  for (auto& sum : sums) asm volatile("" : : "x"(sum));
  return steps * kWide * kInt16Steps * 2 * 32;
}

}  // namespace

constinit const PeakTable kAvx2PeakTable = {.fp32 = &fp32, .int8 = &int8, .int4 = &int4};

}  // namespace minke::kernels
