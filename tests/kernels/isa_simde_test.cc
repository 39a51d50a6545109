// A wrapper held function by function against simd_scalar.h, bit for bit. On x86-64 the AVX-512 one on processors
// without AVX-512: simd_avx512.h over SIMDe's emulation of the intrinsics. (Where the processor has AVX-512,
// linear_test.cc and others run the real instructions; the algorithms above the wrapper are the same source on every
// instruction set.) On Arm, simd_neon.h itself.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

// The wrappers in namespaces of their own, as both are called Simd; all headers they include are already included.
#if defined(__x86_64__) && __has_include(<simde/x86/avx512.h>)
#define MINKE_TESTED_WRAPPER
#include "isa_simde.h"
namespace minke::tested {
#include "kernels/isa/simd_avx512.h"
}
#elif defined(__aarch64__)
#define MINKE_TESTED_WRAPPER
#include <arm_neon.h>
namespace minke::tested {
#include "kernels/isa/simd_neon.h"
}
#endif

#if defined(MINKE_TESTED_WRAPPER)
namespace minke::plain {
#include "kernels/isa/simd_scalar.h"
}

namespace minke {
namespace {

using A = tested::Simd;
using B = plain::Simd;

template <typename T>
std::vector<std::uint8_t> bytes_of(const T& value) {
  std::vector<std::uint8_t> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// 64 bytes: random bits, random floats, or special floats.
struct Input {
  alignas(64) std::uint8_t bytes[64];
  const float* floats() const { return reinterpret_cast<const float*>(bytes); }
  const std::uint16_t* halves() const { return reinterpret_cast<const std::uint16_t*>(bytes); }
};

Input random_bits(std::uint64_t seed) {
  Input in;
  for (std::size_t i = 0; i < 64; ++i) in.bytes[i] = static_cast<std::uint8_t>(base::uniform(seed, 7, i) * 256);
  return in;
}
Input random_floats(std::uint64_t seed) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float special[] = {0.0F, -0.0F, kInf, -kInf, 0x1p-140F, 3.5F, -2.5F, 0x1p100F, std::nanf("")};
  Input in;
  for (std::size_t i = 0; i < 16; ++i) {
    float value = static_cast<float>(base::uniform(seed, 8, i) * 2000 - 1000);
    if (seed % 2 == 1 && i % 2 == 0)
      value = special[static_cast<std::size_t>(base::uniform(seed, 9, i) * std::size(special))];
    std::memcpy(in.bytes + 4 * i, &value, 4);
  }
  return in;
}

/// What a NaN's payload is, IEEE leaves open: any NaN equals any other.
template <typename F>
std::vector<std::uint8_t> float_bytes(const F& vector) {
  float v[16];
  std::memcpy(v, &vector, sizeof v);
  for (float& lane : v)
    if (std::isnan(lane)) lane = std::nanf("");
  return bytes_of(v);
}
std::vector<std::uint8_t> float_bytes(float value) { return bytes_of(std::isnan(value) ? std::nanf("") : value); }

// Runs one expression over both wrappers: `S` is the wrapper inside it.
#define EXPECT_SAME(bytes, ...)                                          \
  do {                                                                   \
    const auto of_tested = [&] {                                         \
      using S = A;                                                       \
      return bytes(__VA_ARGS__);                                         \
    }();                                                                 \
    const auto of_scalar = [&] {                                         \
      using S = B;                                                       \
      return bytes(__VA_ARGS__);                                         \
    }();                                                                 \
    EXPECT_EQ(of_tested, of_scalar) << #__VA_ARGS__ << " seed " << seed; \
  } while (false)

TEST(IsaWrapper, Floats) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Input x = random_floats(seed), y = random_floats(seed + 1000), z = random_floats(seed + 2000);
    const float *a = x.floats(), *b = y.floats(), *c = z.floats();
    EXPECT_SAME(float_bytes, S::add(S::load(a), S::load(b)));
    EXPECT_SAME(float_bytes, S::sub(S::load(a), S::load(b)));
    EXPECT_SAME(float_bytes, S::mul(S::load(a), S::load(b)));
    EXPECT_SAME(float_bytes, S::div(S::load(a), S::load(b)));
    EXPECT_SAME(float_bytes, S::fma(S::load(a), S::load(b), S::load(c)));
    EXPECT_SAME(float_bytes, S::max(S::load(a), S::load(b)));
    EXPECT_SAME(float_bytes, S::min(S::load(a), S::load(b)));
    EXPECT_SAME(float_bytes, S::zero_if_less(S::load(a), S::load(b), S::load(c)));
    EXPECT_SAME(float_bytes, S::reduce_add(S::load(a)));
    EXPECT_SAME(float_bytes, S::reduce_max(S::load(a)));
    EXPECT_SAME(float_bytes, S::set1(a[3]));
    EXPECT_SAME(float_bytes, S::zero());
    for (std::size_t n = 0; n <= 16; ++n) {
      EXPECT_SAME(float_bytes, S::load_partial(a, n));
      const auto partial = [&](auto wrapper) {
        using S = decltype(wrapper);
        Input out = y;
        S::store_partial(reinterpret_cast<float*>(out.bytes), S::load(a), n);
        return bytes_of(out);
      };
      EXPECT_EQ(partial(A()), partial(B())) << n;
    }
  }
}

TEST(IsaWrapper, HalvesAndBf16) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Input x = random_bits(seed);
    EXPECT_SAME(float_bytes, S::load_bf16(x.halves()));
    const auto pairs = [&](auto wrapper, bool half) {
      using S = decltype(wrapper);
      typename S::F even, odd;
      if (half) {
        S::load_f16_pairs(x.halves(), even, odd);
      } else {
        S::load_bf16_pairs(x.halves(), even, odd);
      }
      auto all = float_bytes(even);
      for (const std::uint8_t byte : float_bytes(odd)) all.push_back(byte);
      return all;
    };
    EXPECT_EQ(pairs(A(), false), pairs(B(), false));
    const auto narrowed = [&](auto wrapper, const Input& in) {
      using S = decltype(wrapper);
      std::uint16_t out[16];
      S::store_bf16(out, S::load(in.floats()));
      return bytes_of(out);
    };
    EXPECT_EQ(narrowed(A(), x), narrowed(B(), x));
    EXPECT_EQ(narrowed(A(), random_floats(seed)), narrowed(B(), random_floats(seed)));
    for (std::size_t i = 1; i < 64; i += 2) x.bytes[i] &= 0xbf;  // finite halves
    EXPECT_SAME(float_bytes, S::load_f16(x.halves()));
    EXPECT_SAME(float_bytes, S::load_f8(x.bytes));
    const auto eights = [&x](auto wrapper) {
      using S = decltype(wrapper);
      typename S::F first, second;
      S::load_f8_pair(x.bytes, first, second);
      auto all = float_bytes(first);
      for (const std::uint8_t byte : float_bytes(second)) all.push_back(byte);
      return all;
    };
    EXPECT_EQ(eights(A()), eights(B()));
    EXPECT_EQ(pairs(A(), true), pairs(B(), true));
  }
}

TEST(IsaWrapper, Integers) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Input x = random_bits(seed), y = random_bits(seed + 1000), f = random_floats(2 * seed);
    const float *a = x.floats(), *b = y.floats();
    const auto* bytes = reinterpret_cast<const std::int8_t*>(x.bytes);
    EXPECT_SAME(bytes_of, S::set1_int(-5));
    EXPECT_SAME(bytes_of, S::add_int(S::as_int(S::load(a)), S::as_int(S::load(b))));
    EXPECT_SAME(bytes_of, S::sub_int(S::as_int(S::load(a)), S::as_int(S::load(b))));
#if !defined(__aarch64__)  // of blocks of 256, which only matrix tiles multiply
    EXPECT_SAME(bytes_of, S::scaled_bytes(S::load_bytes(x.bytes), S::as_int(S::load(a)), S::as_int(S::load(b))));
    EXPECT_SAME(bytes_of, S::twice_low(S::as_int(S::load(a))));
    EXPECT_SAME(bytes_of, S::add_halves(S::as_int(S::load(a)), S::as_int(S::load(b))));
    EXPECT_SAME(bytes_of, S::sub_halves(S::as_int(S::load(a)), S::as_int(S::load(b))));
    EXPECT_SAME(bytes_of, S::template shift_halves<5>(S::as_int(S::load(a))));
    // Numbers alone: SIMDe treats a NaN otherwise than the instruction.
    EXPECT_SAME(bytes_of, S::max_magnitude(S::to_float(S::as_int(S::load(a))), S::to_float(S::as_int(S::load(b)))));
#endif
    EXPECT_SAME(bytes_of, S::and_int(S::as_int(S::load(a)), S::as_int(S::load(b))));
    EXPECT_SAME(bytes_of, S::max_int(S::as_int(S::load(a)), S::as_int(S::load(b))));
    EXPECT_SAME(bytes_of, S::reduce_max_int(S::as_int(S::load(a))));
    EXPECT_SAME(bytes_of, S::reduce_add_int(S::as_int(S::load(a))));
    EXPECT_SAME(bytes_of, S::template shift_left<7>(S::as_int(S::load(a))));
    EXPECT_SAME(bytes_of, S::template shift_right<4>(S::as_int(S::load(a))));
    EXPECT_SAME(bytes_of, S::to_float(S::as_int(S::load(a))));
    EXPECT_SAME(bytes_of, S::round_to_int(S::load(f.floats())));
    EXPECT_SAME(bytes_of, S::widen_u8(x.bytes));
    EXPECT_SAME(bytes_of, S::widen_i8(bytes));
    const auto narrowed = [&](auto wrapper) {
      using S = decltype(wrapper);
      std::int8_t out[16];
      S::store_bytes_of(out, S::widen_i8(bytes));
      return bytes_of(out);
    };
    EXPECT_EQ(narrowed(A()), narrowed(B()));
  }
}

TEST(IsaWrapper, Tiles) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Input x = random_bits(seed), y = random_bits(seed + 1000);
    EXPECT_SAME(bytes_of, S::or_bytes(S::load_bytes(x.bytes), S::load_bytes(y.bytes)));
    EXPECT_SAME(bytes_of, S::template move_bits<0, 15>(S::load_bytes(x.bytes)));
    EXPECT_SAME(bytes_of, S::template move_bits<4, 15>(S::load_bytes(x.bytes)));
    EXPECT_SAME(bytes_of, S::template move_bits<6, 3>(S::load_bytes(x.bytes)));
    EXPECT_SAME(bytes_of, S::template move_bits<3, 16>(S::load_bytes(x.bytes)));
    EXPECT_SAME(bytes_of, S::template move_bits<-4, 48>(S::load_bytes(x.bytes)));
    EXPECT_SAME(bytes_of, S::lookup(y.bytes, S::template move_bits<0, 15>(S::load_bytes(x.bytes))));
    std::uint64_t eights[256];
    std::uint32_t fours[256];
    std::uint16_t rows[16];
    for (std::size_t i = 0; i < 256; ++i)
      eights[i] = static_cast<std::uint64_t>(base::uniform(seed, 11, i) * 0x1p32) << 32 |
                  static_cast<std::uint64_t>(base::uniform(seed, 12, i) * 0x1p32);
    for (std::size_t i = 0; i < 256; ++i) fours[i] = static_cast<std::uint32_t>(eights[i] >> 16);
    for (std::size_t i = 0; i < 16; ++i) rows[i] = x.bytes[63 - i];
    EXPECT_SAME(bytes_of, S::look_up_fours(fours, rows));
    EXPECT_SAME(bytes_of, S::look_up_fours(fours, x.bytes));
    const auto looked_up = [&](auto wrapper, const auto* index) {
      using S = decltype(wrapper);
      typename S::B steps[2];
      S::look_up_eights(eights, index, steps[0], steps[1]);
      return bytes_of(steps);
    };
    EXPECT_EQ(looked_up(A(), rows), looked_up(B(), rows)) << seed;
    EXPECT_EQ(looked_up(A(), x.bytes), looked_up(B(), x.bytes)) << seed;
    EXPECT_SAME(bytes_of, S::template byte_of<0>(S::load_bytes(x.bytes)));
    EXPECT_SAME(bytes_of, S::template byte_of<3>(S::load_bytes(x.bytes)));
    const auto dot = [&](auto wrapper, bool wide) {
      using S = decltype(wrapper);
      const auto* q = reinterpret_cast<const std::int8_t*>(y.bytes);
      typename S::B w[4];
      for (int i = 0; i < 4; ++i) w[i] = S::load_bytes(random_bits(seed + 10U + static_cast<unsigned>(i)).bytes);
      typename S::I sums[2] = {S::set1_int(77), S::set1_int(-9)};
      if (wide) {
        for (std::size_t r = 0; r < 2 && !S::kWideIsSigned; ++r) {  // then the weights count 128 more
          std::int32_t more = 0;
          for (std::size_t k = 0; k < 16; ++k) more += 128 * q[24 * r + k];
          sums[r] = S::sub_int(sums[r], S::set1_int(more));
        }
        S::template dot_wide<2, 4, 24>(sums, w, q);
      } else {
        for (auto& step : w) step = S::template move_bits<2, 63>(step);
        S::template dot_narrow<2, 4, 24, 63>(sums, w, q);
      }
      return std::pair(bytes_of(sums[0]), bytes_of(sums[1]));
    };
    EXPECT_EQ(dot(A(), true), dot(B(), true));
    EXPECT_EQ(dot(A(), false), dot(B(), false));
  }
}

}  // namespace
}  // namespace minke

#else

TEST(IsaWrapper, NeedsSimde) { GTEST_SKIP() << "SIMDe's headers (libsimde-dev) are not installed"; }

#endif
