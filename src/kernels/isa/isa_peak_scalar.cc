#include "kernels/peak_table.h"

namespace minke::kernels {
namespace {

constexpr int kLanes = 16, kChains = 4;

/// Sixteen lanes at a time, as the scalar kernels have them; the compiler may use what every x86-64 or arm64 has.
std::uint64_t fp32(std::uint64_t steps) noexcept {
  float sums[kChains][kLanes] = {};
  for (std::uint64_t step = 0; step < steps; ++step) {
    float a = 1.0009F;
    asm volatile("" : "+m"(a));  // unknown to the compiler, so that no step can be left out
    for (auto& sum : sums) {
      for (float& lane : sum) lane = lane * a + 1.0F;
    }
  }
  asm volatile("" : : "m"(sums));
  return steps * 2 * kChains * kLanes;
}

std::uint64_t int8(std::uint64_t steps) noexcept {
  std::int32_t sums[kChains][kLanes] = {};
  for (std::uint64_t step = 0; step < steps; ++step) {
    std::int16_t a[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    asm volatile("" : "+m"(a));
    for (int chain = 0; chain < kChains; ++chain) {
      for (int i = 0; i < kLanes; ++i) sums[chain][i] += a[i] * a[(i + chain) % kLanes] & 0xffff;
    }
  }
  asm volatile("" : : "m"(sums));
  return steps * 2 * kChains * kLanes;
}

}  // namespace

constinit const PeakTable kScalarPeakTable = {.fp32 = &fp32, .int8 = &int8, .int4 = nullptr};

}  // namespace minke::kernels
