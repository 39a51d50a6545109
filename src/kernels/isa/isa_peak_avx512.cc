#include <immintrin.h>

#include "kernels/peak_table.h"

namespace minke::kernels {
namespace {

constexpr int kChains = 12;  // latency 4-5 by two units at most, and registers to spare

std::uint64_t fp32(std::uint64_t steps) noexcept {
  __m512 sums[kChains];
  for (auto& sum : sums) sum = _mm512_set1_ps(1.0F);
  __m512 a = _mm512_set1_ps(1.0001F), b = _mm512_set1_ps(0.9999F);
  for (std::uint64_t step = 0; step < steps; ++step) {
    asm volatile("" : "+v"(a), "+v"(b));  // unknown to the compiler, so that no step can be left out
    for (auto& sum : sums) sum = _mm512_fmadd_ps(a, b, sum);
  }
  for (auto& sum : sums) asm volatile("" : : "v"(sum));
  return steps * kChains * 2 * 16;
}

/// vpdpbusd: four u8 x s8 products into each int32 lane.
std::uint64_t int8(std::uint64_t steps) noexcept {
  __m512i sums[kChains];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-5);
  for (std::uint64_t step = 0; step < steps; ++step) {
    asm volatile("" : "+v"(a), "+v"(b));
    for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  for (auto& sum : sums) asm volatile("" : : "v"(sum));
  return steps * kChains * 2 * 64;
}

}  // namespace

constinit const PeakTable kAvx512PeakTable = {.fp32 = &fp32, .int8 = &int8, .int4 = nullptr};

}  // namespace minke::kernels
