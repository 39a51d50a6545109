// Integer products of weight tiles with four activations per step, as the Arm extension at hand has them.
// Included by simd_neon.h alone. What narrow() and wide() give is stated in simd_scalar.h (dot_narrow, dot_wide),
// here for kCount rows of activations, kStride bytes apart, each with its own sum.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace {

/// A weight tile: outputs 0-3, 4-7, 8-11, 12-15, each with its 4 bytes of inputs; and sums of the outputs.
struct NeonBytes {
  uint8x16_t a, b, c, d;
};
struct NeonInts {
  int32x4_t a, b, c, d;
};

#if defined(__ARM_FEATURE_DOTPROD)

/// One instruction makes 16 products and adds them up by fours (Armv8.2 dotprod; Armv8.6 i8mm for mixed signs).
/// Activations lie in whole registers, a step's four of them named by the instruction.
///
/// i8mm's matrix product (smmla: 2 outputs by 2 rows by 8 inputs, twice the products of sdot) is left out. The tile
/// has 4 inputs of an output side by side, so weights have to be paired first. For 16 outputs x 2 rows x 32 inputs:
/// sdot takes 64 instructions, smmla 32, and 32 to pair the weights, and 8 to take the sums apart. It would pay for
/// weights paired while they are decoded (40 instead of 64); the 24 to 32 that convert and scale the sums of every
/// group of 32 inputs stay: 1.35 times at best on cores that issue both at one rate (Neoverse V1, V2, N2).
struct NeonDot {
  /// Cores load about as many registers as they multiply: two rows' sums, weights and activations fit the registers
  /// beside four rows' fp32 sums.
  static constexpr int kRows = 2;
#if defined(__ARM_FEATURE_MATMUL_INT8)
  static constexpr bool kWideIsSigned = false;
#else
  static constexpr bool kWideIsSigned = true;
#endif

  template <int kCount, int kSteps, std::size_t kStride, int>
  static void narrow(NeonInts* sum, const NeonBytes* w, const std::int8_t* x) {
    steps<kCount, kSteps, kStride, false>(sum, w, x);
  }
  template <int kCount, int kSteps, std::size_t kStride>
  static void wide(NeonInts* sum, const NeonBytes* w, const std::int8_t* x) {
    steps<kCount, kSteps, kStride, true>(sum, w, x);
  }

 private:
  template <int kCount, int kSteps, std::size_t kStride, bool kWide>
  static void steps(NeonInts* sum, const NeonBytes* w, const std::int8_t* x) {
    static_assert(kSteps % 4 == 0);
#pragma GCC unroll 2
    for (std::size_t s = 0; s < kSteps; s += 4) {
      int8x16_t row[kCount];
#pragma GCC unroll 8
      for (std::size_t r = 0; r < kCount; ++r) row[r] = vld1q_s8(x + kStride * r + 4 * s);
      step<kCount, 0, kWide>(sum, w[s], row);
      step<kCount, 1, kWide>(sum, w[s + 1], row);
      step<kCount, 2, kWide>(sum, w[s + 2], row);
      step<kCount, 3, kWide>(sum, w[s + 3], row);
    }
  }
  template <int kCount, int kStep, bool kWide>
  static void step(NeonInts* sum, const NeonBytes& w, const int8x16_t* x) {
    const NeonBytes weights = {freed<kWide>(w.a), freed<kWide>(w.b), freed<kWide>(w.c), freed<kWide>(w.d)};
#pragma GCC unroll 8
    for (int r = 0; r < kCount; ++r) {
      sum[r].a = add<kStep, kWide>(sum[r].a, weights.a, x[r]);
      sum[r].b = add<kStep, kWide>(sum[r].b, weights.b, x[r]);
      sum[r].c = add<kStep, kWide>(sum[r].c, weights.c, x[r]);
      sum[r].d = add<kStep, kWide>(sum[r].d, weights.d, x[r]);
    }
  }
  template <bool kWide>
  static uint8x16_t freed(uint8x16_t w) {
    return kWide && kWideIsSigned ? veorq_u8(w, vdupq_n_u8(128)) : w;
  }
  template <int kStep, bool kWide>
  static int32x4_t add(int32x4_t sum, uint8x16_t w, int8x16_t x) {
#if defined(__ARM_FEATURE_MATMUL_INT8)
    if constexpr (kWide) return vusdotq_laneq_s32(sum, w, x, kStep);
#endif
    return vdotq_laneq_s32(sum, vreinterpretq_s8_u8(w), x, kStep);
  }
};

#else

/// Armv8.0: products of 8 bits added up in 16 while they fit, then widened by pairs.
struct NeonDot {
  static constexpr int kRows = 1;
  static constexpr bool kWideIsSigned = true;

  template <int kCount, int kSteps, std::size_t kStride, int kMax>
  static void narrow(NeonInts* sum, const NeonBytes* w, const std::int8_t* x) {
    for (std::size_t r = 0; r < kCount; ++r) sum[r] = steps<kSteps, kMax, false>(sum[r], w, x + kStride * r);
  }
  template <int kCount, int kSteps, std::size_t kStride>
  static void wide(NeonInts* sum, const NeonBytes* w, const std::int8_t* x) {
    for (std::size_t r = 0; r < kCount; ++r) sum[r] = steps<kSteps, 128, true>(sum[r], w, x + kStride * r);
  }

 private:
  /// |weight| <= kMost and |x| <= 127: so many products fit 16 bits.
  template <int kMost, int kSteps>
  static constexpr int fitting() {
    int fit = 1;
    while (2 * fit <= kSteps && 2 * fit * 127 * kMost <= 32767) fit *= 2;
    return fit;
  }

  template <int kSteps, int kMost, bool kFlip>
  static NeonInts steps(NeonInts sum, const NeonBytes* w, const std::int8_t* x) {
    return {
        add<kSteps, kMost, kFlip, &NeonBytes::a>(sum.a, w, x), add<kSteps, kMost, kFlip, &NeonBytes::b>(sum.b, w, x),
        add<kSteps, kMost, kFlip, &NeonBytes::c>(sum.c, w, x), add<kSteps, kMost, kFlip, &NeonBytes::d>(sum.d, w, x)};
  }

  /// Four outputs. Their products lie side by side, four an output, so one addition of neighbours leaves two sums
  /// an output and another one.
  template <int kSteps, int kMost, bool kFlip, uint8x16_t NeonBytes::*kPart>
  static int32x4_t add(int32x4_t sum, const NeonBytes* w, const std::int8_t* x) {
    constexpr int kFit = fitting<kMost, kSteps>();
    int32x4_t low = vdupq_n_s32(0), high = low;
#pragma GCC unroll 8
    for (int s = 0; s < kSteps; s += kFit) {
      int16x8_t l = vdupq_n_s16(0), h = l;
#pragma GCC unroll 8
      for (int i = s; i < s + kFit; ++i) {
        const int8x16_t weights = vreinterpretq_s8_u8(kFlip ? veorq_u8(w[i].*kPart, vdupq_n_u8(128)) : w[i].*kPart);
        const int8x16_t four = broadcast4(x + 4 * i);
        if (i == s) {
          l = vmull_s8(vget_low_s8(weights), vget_low_s8(four));
          h = vmull_high_s8(weights, four);
        } else {
          l = vmlal_s8(l, vget_low_s8(weights), vget_low_s8(four));
          h = vmlal_high_s8(h, weights, four);
        }
      }
      low = vpadalq_s16(low, l);
      high = vpadalq_s16(high, h);
    }
    return vaddq_s32(sum, vpaddq_s32(low, high));
  }
  static int8x16_t broadcast4(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
};

#endif

}  // namespace
