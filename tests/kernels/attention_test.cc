#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "attention_testing.h"
#include "base/error.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): all of it is for this file

std::vector<float> attend_all(Cache& cache, Isa isa) { return attend_all(cache, kernel_table(isa), Numerics::exact); }

TEST(Attention, MatchesDouble) {
  for_shapes([](const Shape& shape) {
    const std::size_t tokens = 150;
    Cache cache(shape, 1, tokens);
    const auto out = attend_all(cache, best_isa());
    std::vector<double> exact;
    double tolerance = 0;
    for (std::uint32_t p = 0; p < tokens; p += p < 3 || (p > 60 && p < 66) ? 1 : 13)
      for (std::size_t h = 0; h < shape.heads; ++h) {
        cache.reference({0, p}, h, exact, tolerance);
        for (std::size_t d = 0; d < shape.v_dim; ++d)
          ASSERT_NEAR(out[(p * shape.heads + h) * shape.v_dim + d], exact[d], tolerance)
              << "position " << p << " head " << h << " channel " << d;
      }
  });
}

TEST(Attention, SameBitsOnEveryInstructionSet) {
  for_shapes([](const Shape& shape) {
    Cache cache(shape, 2, 67);
    const auto expected = attend_all(cache, Isa::scalar);
    for (const Isa isa : available_isas()) EXPECT_TRUE(same_bits(attend_all(cache, isa), expected)) << to_string(isa);
  });
}

TEST(Attention, BatchesAndThreadsChangeNoBit) {
  for_shapes(
      [](const Shape& s) { expect_batches_and_threads_change_no_bit(s, kernel_table(best_isa()), Numerics::exact); });
}

TEST(Attention, RowsAloneEqualRowsTogether) {
  for_shapes(
      [](const Shape& s) { expect_rows_alone_equal_rows_together(s, kernel_table(best_isa()), Numerics::exact); });
}

TEST(Attention, WhatLiesBehindARowDoesNotMatter) {
  for_shapes(
      [](const Shape& s) { expect_what_lies_behind_not_to_matter(s, kernel_table(best_isa()), Numerics::exact); });
}

TEST(Attention, LongContextsInManyTasksKeepTheirBits) {
  // Enough work that one row's heads are shared out among threads.
  const Shape shape{14, 2, 64, 64, KvType::bf16};
  Cache cache(shape, 1, 1500);
  const auto expected = attend_all(cache, best_isa());
  const std::size_t width = shape.heads * shape.v_dim;
  for (const std::size_t threads : {2, 3, 8}) {
    base::ThreadPool pool(threads);
    const Ops ops(kernel_table(best_isa()), pool, Numerics::exact);
    EXPECT_TRUE(same_bits(cache.attend(ops, cache.all_rows()), expected));
    EXPECT_TRUE(same_bits(cache.attend(ops, {{0, 1499}}), {expected.end() - static_cast<int>(width), expected.end()}));
  }
}

TEST(Attention, SplitsLieWhereTheySay) {
  constexpr KvSplits splits;
  EXPECT_EQ(splits.ends()[0], 4U);
  EXPECT_EQ(splits.ends()[15], 64U);  // 4,096 tokens
  EXPECT_EQ(splits.ends()[16], 72U);
  EXPECT_EQ(splits.ends()[23], 128U);
  EXPECT_EQ(splits.ends()[24], 144U);
  EXPECT_EQ(splits.count(0), 1U);
  EXPECT_EQ(splits.count(255), 1U);
  EXPECT_EQ(splits.count(256), 2U);
  EXPECT_EQ(splits.count(4095), 16U);
  EXPECT_EQ(splits.count(4096), 17U);
  EXPECT_EQ(splits.count(131071), 56U);
  EXPECT_EQ(splits.count(0xffffffffU), KvSplits::kMost);
  for (std::size_t i = 1; i < KvSplits::kMost; ++i) EXPECT_GT(splits.ends()[i], splits.ends()[i - 1]) << i;
}

TEST(Attention, SharingAPastAmongThreadsChangesNoBit) {
  const Shape latent{5, 1, 40, 24, KvType::bf16, KvForm::latent};
  for (const Shape& shape :
       {Shape{6, 2, 16, 21, KvType::bf16}, Shape{3, 3, 8, 16, KvType::f32}, Shape{4, 2, 24, 16, KvType::q8}, latent,
        Shape{5, 1, 40, 24, KvType::q8, KvForm::latent}}) {
    SCOPED_TRACE(describe(shape));
    constexpr std::size_t kTokens = 4608 + 70;  // past where splits grow
    Cache cache(shape, 1, kTokens);
    base::ThreadPool one(1);
    const Ops alone(kernel_table(Isa::scalar), one, Numerics::exact);
    cache.store(alone, cache.all_rows());
    const std::vector<RowRef> rows = {{0, 4677}, {0, 255}, {0, 256}, {0, 4608}, {0, 2047}, {0, 63}};
    const auto expected = cache.attend(alone, rows);
    const std::size_t width = shape.heads * shape.v_dim;
    for (const Isa isa : available_isas())
      for (const std::size_t threads : {1, 2, 5, 16}) {
        base::ThreadPool pool(threads);
        const Ops ops(kernel_table(isa), pool, Numerics::exact);
        for (const std::size_t shared : {0, 6}) EXPECT_TRUE(same_bits(cache.attend(ops, rows, shared), expected));
        for (std::size_t r = 0; r < rows.size(); ++r)
          EXPECT_TRUE(same_bits(cache.attend(ops, {rows[r]}, 1),
                                {expected.begin() + r * width, expected.begin() + (r + 1) * width}))
              << to_string(isa) << ", " << threads << " threads, position " << rows[r].position;
      }
    std::vector<double> exact;
    double tolerance = 0;
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::size_t h = 0; h < shape.heads; ++h) {
        cache.reference(rows[r], h, exact, tolerance);
        for (std::size_t d = 0; d < shape.v_dim; ++d)
          ASSERT_NEAR(expected[r * width + h * shape.v_dim + d], exact[d], tolerance) << r << " " << h << " " << d;
      }
  }
}

TEST(Attention, LatentFormMatchesDouble) {
  for (const Shape& shape :
       {Shape{16, 1, 576, 512, KvType::bf16, KvForm::latent}, Shape{3, 1, 17, 7, KvType::f32, KvForm::latent},
        Shape{20, 1, 48, 32, KvType::bf16, KvForm::latent}, Shape{16, 1, 576, 512, KvType::q8, KvForm::latent},
        Shape{3, 1, 17, 7, KvType::q8, KvForm::latent}}) {
    SCOPED_TRACE(describe(shape));
    constexpr std::size_t kTokens = 140;
    Cache cache(shape, 1, kTokens);
    const auto out = attend_all(cache, Isa::scalar);
    for (const Isa isa : available_isas()) EXPECT_TRUE(same_bits(attend_all(cache, isa), out)) << to_string(isa);
    std::vector<double> exact;
    double tolerance = 0;
    for (const std::uint32_t p : {0U, 1U, 63U, 64U, 139U}) {
      for (std::size_t h = 0; h < shape.heads; ++h) {
        cache.reference({0, p}, h, exact, tolerance);
        for (std::size_t d = 0; d < shape.v_dim; ++d)
          ASSERT_NEAR(out[(p * shape.heads + h) * shape.v_dim + d], exact[d], tolerance) << p << " " << h << " " << d;
      }
    }
  }
}

TEST(Attention, NanReachesTheRowsThatSeeItAndNoOther) {
  const Shape shape{6, 2, 32, 32, KvType::f32};
  const std::size_t width = shape.heads * shape.v_dim, tokens = 100;
  for (const bool in_keys : {true, false})
    for (const Isa isa : available_isas()) {
      Cache cache(shape, 1, tokens);
      (in_keys ? cache.k(0) : cache.v(0))[(80 * 2 + 1) * 32 + 3] = kNan;  // position 80, kv head 1
      const auto out = attend_all(cache, isa);
      for (std::size_t p = 0; p < tokens; ++p)
        for (std::size_t i = 0; i < width; ++i) {
          const bool seen = p >= 80 && i >= width / 2 && (in_keys || i % 32 == 3);
          ASSERT_EQ(std::isnan(out[p * width + i]), seen) << p << " " << i;
        }
    }
  Cache cache(shape, 1, tokens);
  cache.q(0)[(50 * 6 + 2) * 32] = kNan;
  const auto out = attend_all(cache, best_isa());
  for (std::size_t p = 0; p < tokens; ++p)
    for (std::size_t i = 0; i < width; ++i)
      ASSERT_EQ(std::isnan(out[p * width + i]), p == 50 && i / 32 == 2) << p << " " << i;
}

TEST(Attention, InfinitiesAndHugeScoresEnd) {
  const Shape shape{2, 1, 16, 16, KvType::bf16};
  for (const float q : {1e30f, -1e30f, kInf, -kInf, 3e38f}) {
    Cache cache(shape, 1, 70);
    std::fill(cache.q(0).begin(), cache.q(0).end(), q);
    const auto expected = attend_all(cache, Isa::scalar);
    for (const Isa isa : available_isas()) EXPECT_TRUE(same_bits(attend_all(cache, isa), expected)) << q;
  }
  // One score far above the others: all of the weight, exactly.
  Cache cache(shape, 1, 70);
  std::fill(cache.q(0).begin(), cache.q(0).end(), 100.0f);
  std::fill_n(cache.k(0).begin() + 3 * 16, 16, 100.0f);
  const auto out = attend_all(cache, best_isa());
  for (std::size_t d = 0; d < 16; ++d) EXPECT_EQ(out[(69 * 2 + 1) * 16 + d], round_to_bf16(cache.v(0)[3 * 16 + d]));
}

TEST(Attention, LargestDimensions) {
  for (const Shape& shape :
       {Shape{3, 1, kMaxAttentionDim, kMaxAttentionDim, KvType::f32}, Shape{40, 1, 576, 512, KvType::bf16}}) {
    SCOPED_TRACE(describe(shape));
    Cache cache(shape, 1, 66);
    const auto expected = attend_all(cache, Isa::scalar);
    for (const Isa isa : available_isas()) EXPECT_TRUE(same_bits(attend_all(cache, isa), expected)) << to_string(isa);
    std::vector<double> exact;
    double tolerance = 0;
    cache.reference({0, 65}, 1, exact, tolerance);
    for (std::size_t d = 0; d < shape.v_dim; ++d)
      ASSERT_NEAR(expected[(65 * shape.heads + 1) * shape.v_dim + d], exact[d], tolerance);
  }
}

/// Integers of x[n] at `bytes`, `step` apart, with the scale `got`.
void expect_bytes(const float* x, std::size_t n, bool bf16, const std::byte* bytes, std::size_t step, float got) {
  const float scale = byte_scale(x, n, bf16);
  if (std::isnan(scale)) {
    EXPECT_TRUE(std::isnan(got));
  } else {
    EXPECT_EQ(got, scale);
  }
  for (std::size_t d = 0; d < n; ++d) {
    const auto q = static_cast<std::int8_t>(bytes[d * step]);
    if (scale > 0) {
      EXPECT_NEAR(static_cast<double>(q) * scale, x[d], 0.501 * scale) << d;
    } else {
      EXPECT_EQ(q, 0) << d;
    }
  }
}

float bf16_at(const std::byte* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

TEST(StoreKv, Q8IsTheNearestStepOfItsGroupsScale) {
  const Shape shape{2, 2, 21, 5, KvType::q8};  // 3 groups, the last one of 5
  EXPECT_EQ(shape.layout().bytes(), 2U * (21 + 16) * 64 + 2 * 3 * 64 * 2 + 2 * 64 * 4);
  Cache cache(shape, 1, 70);
  const auto k_of = [&](std::size_t t, std::size_t h) { return &cache.k(0)[(t * 2 + h) * 21]; };
  std::fill_n(k_of(3, 0), 21, 0.0f);
  std::fill_n(k_of(4, 1) + 8, 8, 1e-40f);
  k_of(5, 0)[2] = kNan;
  k_of(6, 1)[20] = -kInf;
  cache.v(0)[(7 * 2 + 1) * 5] = 3e38f;
  cache.v(0)[(8 * 2 + 1) * 5] = kInf;
  base::ThreadPool pool(2);
  const Ops ops(kernel_table(best_isa()), pool, Numerics::fast);
  cache.store(ops, cache.all_rows());
  const std::size_t values = 2 * 21 * 64, scales = values + 2 * 16 * 64, value_scales = scales + 2 * 3 * 64 * 2;
  for (std::size_t t = 0; t < 70; ++t)
    for (std::size_t h = 0; h < 2; ++h) {
      SCOPED_TRACE(base::cat("token ", t, ", head ", h));
      const std::byte* block = cache.block(0, t / 64) + Cache::kBefore;
      for (std::size_t g = 0; g < 3; ++g)
        expect_bytes(k_of(t, h) + g * 8, g == 2 ? 5 : 8, true, block + (h * 21 + g * 8) * 64 + t % 64, 64,
                     bf16_at(block + scales + ((h * 3 + g) * 64 + t % 64) * 2));
      float scale;
      std::memcpy(&scale, block + value_scales + (h * 64 + t % 64) * 4, sizeof scale);
      expect_bytes(&cache.v(0)[(t * 2 + h) * 5], 5, false, block + values + (h * 64 + t % 64) * 16, 1, scale);
    }
}

TEST(StoreKv, Q8OfLatentsHasAScalePerSixteenChannels) {
  const Shape shape{2, 1, 40, 24, KvType::q8, KvForm::latent};
  EXPECT_EQ(shape.layout().bytes(), 48U * 64 + 3 * 64 * 2);
  Cache cache(shape, 1, 70);
  cache.k(0)[9 * 40 + 17] = kNan;
  base::ThreadPool pool(1);
  const Ops ops(kernel_table(best_isa()), pool, Numerics::fast);
  cache.store(ops, cache.all_rows());
  for (std::size_t t = 0; t < 70; ++t)
    for (std::size_t g = 0; g < 3; ++g) {
      SCOPED_TRACE(base::cat("token ", t, ", group ", g));
      const std::byte* block = cache.block(0, t / 64) + Cache::kBefore;
      expect_bytes(&cache.k(0)[t * 40 + g * 16], g == 2 ? 8 : 16, true, block + t % 64 * 48 + g * 16, 1,
                   bf16_at(block + 48 * 64 + (t % 64 * 3 + g) * 2));
      for (std::size_t d = 40; d < 48; ++d) EXPECT_EQ(block[t % 64 * 48 + d], std::byte{0});
    }
}

TEST(StoreKv, WritesItsElementsAndNothingElse) {
  for_shapes([](const Shape& shape) {
    if (shape.type == KvType::q8) return;
    const KvLayout layout = shape.layout();
    Cache cache(shape, 1, 70);
    cache.k(0)[0] = 1.00390625f;  // halfway between two bf16, the lower one even
    base::ThreadPool pool(3);
    const Ops ops(kernel_table(best_isa()), pool, Numerics::exact);
    std::vector<RowRef> rows;
    for (std::uint32_t p = 5; p < 70; ++p) rows.push_back({0, p});
    rows.push_back({0, 0});
    cache.store(ops, rows);
    for (std::size_t b = 0; b < 2; ++b) {
      const std::byte* block = cache.block(0, b);
      const std::size_t size = layout.element_bytes(), total = Cache::kBefore + layout.bytes() + Cache::kBehind;
      std::vector<std::byte> expected(total, std::byte{0xff});
      const auto put = [&](std::size_t index, float x) {
        const auto bits = std::bit_cast<std::uint32_t>(size == 2 ? round_to_bf16(x) : x);
        for (std::size_t i = 0; i < size; ++i)
          expected[Cache::kBefore + index * size + i] = static_cast<std::byte>(bits >> (8 * (i + 4 - size)));
      };
      for (const RowRef& row : rows)
        for (std::size_t h = 0; h < shape.kv_heads && row.position / 64 == b; ++h) {
          const std::size_t t = row.position % 64, channels = size == 2 ? (shape.k_dim + 1) / 2 * 2 : shape.k_dim;
          const std::size_t values = shape.kv_heads * channels * 64;
          // Element (i, j) of [..][n], in bf16 with neighbours along i side by side.
          const auto at = [&](std::size_t i, std::size_t j, std::size_t n) {
            return size == 2 ? (i / 2 * n + j) * 2 + i % 2 : i * n + j;
          };
          for (std::size_t d = 0; d < channels; ++d)
            put(h * channels * 64 + at(d, t, 64),
                d >= shape.k_dim ? 0.0f : cache.k(0)[(row.position * shape.kv_heads + h) * shape.k_dim + d]);
          for (std::size_t d = 0; d < layout.v_stride(); ++d)
            put(values + h * 64 * layout.v_stride() + at(t, d, layout.v_stride()),
                d < shape.v_dim ? cache.v(0)[(row.position * shape.kv_heads + h) * shape.v_dim + d] : 0.0f);
        }
      ASSERT_EQ(std::memcmp(block, expected.data(), total), 0) << "block " << b;
    }
  });
}

TEST(StoreKv, Bf16RoundsToNearestEvenAndKeepsNan) {
  const std::vector<float> values = {1.0f, 1.00390625f, 1.01171875f, 1.0039063f, 1.0039062f, 3.4e38f,  -3.4e38f,
                                     kInf, -kInf,       1e-40f,      -0.0f,      1e-45f,     3.38e38f, 65504.0f};
  const Shape shape{1, 1, values.size(), 2, KvType::bf16};
  Cache cache(shape, 1, 1);
  for (std::size_t i = 0; i < values.size(); ++i) cache.k(0)[i] = values[i];
  cache.v(0)[0] = std::bit_cast<float>(0x7f800001U);  // a NaN whose payload is in the half that is lost
  cache.v(0)[1] = std::bit_cast<float>(0xffffffffU);
  base::ThreadPool pool(1);
  const Ops ops(kernel_table(best_isa()), pool, Numerics::fast);
  cache.store(ops, {{0, 0}});
  const auto* stored = reinterpret_cast<const std::uint16_t*>(cache.block(0, 0) + Cache::kBefore);
  const auto widen = [](std::uint16_t x) { return std::bit_cast<float>(std::uint32_t{x} << 16); };
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(widen(stored[i / 2 * 128 + i % 2]), round_to_bf16(values[i])) << values[i];
  EXPECT_EQ(widen(stored[1]), 1.0f);
  EXPECT_EQ(widen(stored[128]), 1.015625f);
  EXPECT_TRUE(std::isnan(widen(stored[values.size() * 64])));
  EXPECT_TRUE(std::isnan(widen(stored[values.size() * 64 + 2])));
}

TEST(AttentionShape, RefusesWhatItCannotServe) {
  const auto refused = [](std::size_t heads, KvLayout layout, std::string_view needle) {
    try {
      check_attention_shape(layout, heads, "model.gguf");
      ADD_FAILURE() << "accepted";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
      EXPECT_NE(error.message().find("model.gguf"), std::string::npos) << error.message();
      EXPECT_NE(error.message().find(needle), std::string::npos) << error.message();
    }
  };
  refused(4, {2, 0, 8}, "key dimension");
  refused(4, {2, 1025, 8}, "got 1025");
  refused(4, {2, 8, 0}, "value dimension");
  refused(4, {2, 8, 2000}, "1 to 1024");
  refused(4, {0, 8, 8}, "key-value heads");
  refused(5, {2, 8, 8}, "multiple of the 2");
  refused(0, {2, 8, 8}, "heads");
  EXPECT_NO_THROW(check_attention_shape({2, 1024, 1}, 12, "model.gguf"));
}

}  // namespace
}  // namespace minke::kernels
