// Sixteen lanes as four NEON registers; names and results as in simd_scalar.h. For AArch64; the integer products
// are neon_dot.h's. Included by the isa_neon*.cc alone.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/neon_dot.h"

namespace {

struct Simd {
  struct F {
    float32x4_t a, b, c, d;
  };
  using I = NeonInts;
  using B = NeonBytes;

  static constexpr int kFloatRows = 4;
  static constexpr int kByteRows = 4;
  static constexpr int kFewRows = 4;
  static constexpr int kNarrowRows = NeonDot::kRows;
  static constexpr int kWideRows = NeonDot::kRows;
  static constexpr int kRegisters = 8;
  static constexpr bool kWideIsSigned = NeonDot::kWideIsSigned;

  static F zero() { return set1(0.0F); }
  static F set1(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {v, v, v, v};
  }
  static F load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
  static void store(float* p, F x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
  }
  static F load_partial(const float* p, std::size_t n) {
    float lanes[16] = {};
    std::memcpy(lanes, p, n * sizeof(float));
    return load(lanes);
  }
  static void store_partial(float* p, F x, std::size_t n) {
    float lanes[16];
    store(lanes, x);
    std::memcpy(p, lanes, n * sizeof(float));
  }
  static F load_bf16(const std::uint16_t* p) {
    const uint16x8_t zeros = vdupq_n_u16(0), x = vld1q_u16(p), y = vld1q_u16(p + 8);
    const auto widen = [](uint16x8_t bits) { return vreinterpretq_f32_u16(bits); };
    return {widen(vzip1q_u16(zeros, x)), widen(vzip2q_u16(zeros, x)), widen(vzip1q_u16(zeros, y)),
            widen(vzip2q_u16(zeros, y))};
  }
  static void store_bf16(std::uint16_t* p, F x) {
    const auto round = [](float32x4_t value) {
      const uint32x4_t u = vreinterpretq_u32_f32(value), high = vshrq_n_u32(u, 16);
      const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
      const uint32x4_t even = vshrq_n_u32(vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
      const uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
      return vmovn_u32(vbslq_u32(vceqq_f32(value, value), even, quiet));
    };
    vst1q_u16(p, vcombine_u16(round(x.a), round(x.b)));
    vst1q_u16(p + 8, vcombine_u16(round(x.c), round(x.d)));
  }
  static F load_f16(const std::uint16_t* p) { return widen_f16(vld1q_u16(p), vld1q_u16(p + 8)); }
  static F load_f8(const std::uint8_t* p) {
    const uint8x16_t x = vld1q_u8(p);
    const auto half = [](uint16x8_t v) {  // sign, exponent and fraction where a half has them
      return vorrq_u16(vshlq_n_u16(vandq_u16(v, vdupq_n_u16(0x80)), 8),
                       vshlq_n_u16(vandq_u16(v, vdupq_n_u16(0x7f)), 7));
    };
    return widen_f16(half(vmovl_u8(vget_low_u8(x))), half(vmovl_high_u8(x)));
  }
  static void load_f8_pair(const std::uint8_t* p, F& first, F& second) {
    first = load_f8(p);
    second = load_f8(p + 16);
  }

  static F add(F x, F y) {
    return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d)};
  }
  static F sub(F x, F y) {
    return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
  }
  static F mul(F x, F y) {
    return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
  }
  static F div(F x, F y) {
    return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c), vdivq_f32(x.d, y.d)};
  }
  static F fma(F x, F y, F z) {
    return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
  }
  static F max(F x, F y) { return {greater(x.a, y.a), greater(x.b, y.b), greater(x.c, y.c), greater(x.d, y.d)}; }
  static F min(F x, F y) {
    const auto less = [](float32x4_t p, float32x4_t q) { return vbslq_f32(vcltq_f32(p, q), p, q); };
    return {less(x.a, y.a), less(x.b, y.b), less(x.c, y.c), less(x.d, y.d)};
  }
  static F zero_if_less(F x, F y, F z) {
    const auto clear = [](float32x4_t p, float32x4_t q, float32x4_t v) {
      return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), vcltq_f32(p, q)));
    };
    return {clear(x.a, y.a, z.a), clear(x.b, y.b, z.b), clear(x.c, y.c, z.c), clear(x.d, y.d, z.d)};
  }
  static float reduce_add(F x) {
    const float32x4_t s4 = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
    return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
  }
  static float reduce_max(F x) {
    const float32x4_t s4 = greater(greater(x.a, x.c), greater(x.b, x.d));
    const float32x2_t low = vget_low_f32(s4), high = vget_high_f32(s4);
    const float32x2_t s2 = vbsl_f32(vcgt_f32(low, high), low, high);
    const float first = vget_lane_f32(s2, 0), second = vget_lane_f32(s2, 1);
    return first > second ? first : second;
  }

  static I set1_int(std::int32_t x) {
    const int32x4_t v = vdupq_n_s32(x);
    return {v, v, v, v};
  }
  static I add_int(I x, I y) {
    return {vaddq_s32(x.a, y.a), vaddq_s32(x.b, y.b), vaddq_s32(x.c, y.c), vaddq_s32(x.d, y.d)};
  }
  static I sub_int(I x, I y) {
    return {vsubq_s32(x.a, y.a), vsubq_s32(x.b, y.b), vsubq_s32(x.c, y.c), vsubq_s32(x.d, y.d)};
  }
  static I and_int(I x, I y) {
    return {vandq_s32(x.a, y.a), vandq_s32(x.b, y.b), vandq_s32(x.c, y.c), vandq_s32(x.d, y.d)};
  }
  static I max_int(I x, I y) {
    return {vmaxq_s32(x.a, y.a), vmaxq_s32(x.b, y.b), vmaxq_s32(x.c, y.c), vmaxq_s32(x.d, y.d)};
  }
  static std::int32_t reduce_max_int(I x) { return vmaxvq_s32(vmaxq_s32(vmaxq_s32(x.a, x.b), vmaxq_s32(x.c, x.d))); }
  static std::int32_t reduce_add_int(I x) { return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.b), vaddq_s32(x.c, x.d))); }
  template <int kBits>
  static I shift_left(I x) {
    return {vshlq_n_s32(x.a, kBits), vshlq_n_s32(x.b, kBits), vshlq_n_s32(x.c, kBits), vshlq_n_s32(x.d, kBits)};
  }
  template <int kBits>
  static I shift_right(I x) {
    const auto shift = [](int32x4_t v) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(v), kBits)); };
    return {shift(x.a), shift(x.b), shift(x.c), shift(x.d)};
  }
  static F as_float(I x) {
    return {vreinterpretq_f32_s32(x.a), vreinterpretq_f32_s32(x.b), vreinterpretq_f32_s32(x.c),
            vreinterpretq_f32_s32(x.d)};
  }
  static I as_int(F x) {
    return {vreinterpretq_s32_f32(x.a), vreinterpretq_s32_f32(x.b), vreinterpretq_s32_f32(x.c),
            vreinterpretq_s32_f32(x.d)};
  }
  static F to_float(I x) { return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)}; }
  static I round_to_int(F x) {
    return {vcvtnq_s32_f32(x.a), vcvtnq_s32_f32(x.b), vcvtnq_s32_f32(x.c), vcvtnq_s32_f32(x.d)};
  }
  static void store_bytes_of(std::int8_t* p, I x) {
    const int16x8_t low = vcombine_s16(vmovn_s32(x.a), vmovn_s32(x.b));
    const int16x8_t high = vcombine_s16(vmovn_s32(x.c), vmovn_s32(x.d));
    vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
  }
  static I widen_u8(const std::uint8_t* p) {
    const uint8x16_t x = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(x)), high = vmovl_high_u8(x);
    const auto int_of = [](uint32x4_t v) { return vreinterpretq_s32_u32(v); };
    return {int_of(vmovl_u16(vget_low_u16(low))), int_of(vmovl_high_u16(low)), int_of(vmovl_u16(vget_low_u16(high))),
            int_of(vmovl_high_u16(high))};
  }
  static I widen_i8(const std::int8_t* p) {
    const int8x16_t x = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_high_s8(x);
    return {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)};
  }

  static B load_bytes(const std::uint8_t* p) {
    return {vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)};
  }
  static void store_bytes(std::uint8_t* p, B x) {
    vst1q_u8(p, x.a);
    vst1q_u8(p + 16, x.b);
    vst1q_u8(p + 32, x.c);
    vst1q_u8(p + 48, x.d);
  }
  static B or_bytes(B x, B y) {
    return {vorrq_u8(x.a, y.a), vorrq_u8(x.b, y.b), vorrq_u8(x.c, y.c), vorrq_u8(x.d, y.d)};
  }
  static B xor_bytes(B x, std::uint8_t mask) {
    const uint8x16_t m = vdupq_n_u8(mask);
    return {veorq_u8(x.a, m), veorq_u8(x.b, m), veorq_u8(x.c, m), veorq_u8(x.d, m)};
  }
  template <int kRight, int kMask>
  static B move_bits(B x) {
    const auto move = [](uint8x16_t v) {
      if constexpr (kRight > 0) v = vshrq_n_u8(v, kRight);
      if constexpr (kRight < 0) v = vshlq_n_u8(v, -kRight);
      constexpr int kCanBeSet = kRight >= 0 ? 255 >> kRight : 255 << -kRight & 255;
      if constexpr ((kCanBeSet & ~kMask) != 0) v = vandq_u8(v, vdupq_n_u8(kMask));
      return v;
    };
    return {move(x.a), move(x.b), move(x.c), move(x.d)};
  }
  static B lookup(const std::uint8_t* table, B x) {
    const uint8x16_t t = vld1q_u8(table);
    return {vqtbl1q_u8(t, x.a), vqtbl1q_u8(t, x.b), vqtbl1q_u8(t, x.c), vqtbl1q_u8(t, x.d)};
  }
  template <int kByte>
  static I byte_of(B x) {
    const auto pick = [](uint8x16_t v) {
      uint32x4_t lanes = vreinterpretq_u32_u8(v);
      if constexpr (kByte > 0) lanes = vshrq_n_u32(lanes, 8 * kByte);
      return vreinterpretq_s32_u32(vandq_u32(lanes, vdupq_n_u32(255)));
    };
    return {pick(x.a), pick(x.b), pick(x.c), pick(x.d)};
  }
  template <typename Index>
  static void look_up_eights(const std::uint64_t* table, const Index* index, B& low, B& high) {
    const auto split = [&](std::size_t at, uint8x16_t& first, uint8x16_t& second) {
      const uint32x4_t a = two_eights(table, index + at), b = two_eights(table, index + at + 2);
      first = vreinterpretq_u8_u32(vuzp1q_u32(a, b));
      second = vreinterpretq_u8_u32(vuzp2q_u32(a, b));
    };
    split(0, low.a, high.a);
    split(4, low.b, high.b);
    split(8, low.c, high.c);
    split(12, low.d, high.d);
  }
  template <typename Index>
  static B look_up_fours(const std::uint32_t* table, const Index* index) {
    return {fours(table, index), fours(table, index + 4), fours(table, index + 8), fours(table, index + 12)};
  }
  static void load_bf16_pairs(const std::uint16_t* p, F& even, F& odd) {
    const auto pair = [p](std::size_t at, float32x4_t& first, float32x4_t& second) {
      const uint32x4_t both = vreinterpretq_u32_u16(vld1q_u16(p + at));
      first = vreinterpretq_f32_u32(vshlq_n_u32(both, 16));
      second = vreinterpretq_f32_u32(vandq_u32(both, vdupq_n_u32(0xffff0000U)));
    };
    pair(0, even.a, odd.a);
    pair(8, even.b, odd.b);
    pair(16, even.c, odd.c);
    pair(24, even.d, odd.d);
  }
  static void load_f16_pairs(const std::uint16_t* p, F& even, F& odd) {
    const uint16x8x2_t x = vld2q_u16(p), y = vld2q_u16(p + 16);
    even = widen_f16(x.val[0], y.val[0]);
    odd = widen_f16(x.val[1], y.val[1]);
  }

  template <int kRows, int kSteps, std::size_t kStride, int kMax>
  static void dot_narrow(I* sum, const B* w, const std::int8_t* x) {
    NeonDot::template narrow<kRows, kSteps, kStride, kMax>(sum, w, x);
  }
  template <int kRows, int kSteps, std::size_t kStride>
  static void dot_wide(I* sum, const B* w, const std::int8_t* x) {
    NeonDot::template wide<kRows, kSteps, kStride>(sum, w, x);
  }

 private:
  template <typename Index>
  static uint32x4_t two_eights(const std::uint64_t* table, const Index* index) {
    return vreinterpretq_u32_u64(vcombine_u64(vld1_u64(table + index[0]), vld1_u64(table + index[1])));
  }
  template <typename Index>
  static uint8x16_t fours(const std::uint32_t* table, const Index* index) {
    uint32x4_t four = vld1q_dup_u32(table + index[0]);
    four = vld1q_lane_u32(table + index[1], four, 1);
    four = vld1q_lane_u32(table + index[2], four, 2);
    return vreinterpretq_u8_u32(vld1q_lane_u32(table + index[3], four, 3));
  }
  /// Not vmaxq: that gives NaN when either is one.
  static float32x4_t greater(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
  static F widen_f16(uint16x8_t x, uint16x8_t y) {
    const float16x8_t lo = vreinterpretq_f16_u16(x), hi = vreinterpretq_f16_u16(y);
    return {vcvt_f32_f16(vget_low_f16(lo)), vcvt_high_f32_f16(lo), vcvt_f32_f16(vget_low_f16(hi)),
            vcvt_high_f32_f16(hi)};
  }
};

}  // namespace
