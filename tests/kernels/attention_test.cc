#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSentinel = -12345.678f;

float random_value(std::uint64_t stream, std::uint64_t i) {
  return static_cast<float>(2 * base::uniform(23, stream, i) - 1);
}

float round_to_bf16(float x) {  // by the definition: the nearer of the two neighbours, ties to the even one
  if (!std::isfinite(x)) return x;
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float down = std::bit_cast<float>(bits & 0xffff0000U);
  const float up = std::bit_cast<float>((bits & 0xffff0000U) + 0x10000U);
  const double below = std::fabs(static_cast<double>(x) - down);
  const double above =
      std::isinf(up) ? std::fabs(0x1p128 - std::fabs(static_cast<double>(x))) : std::fabs(static_cast<double>(up) - x);
  if (below != above) return below < above ? down : up;
  return (bits & 0x10000U) == 0 ? down : up;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], 4) != 0 && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return true;
}

struct Shape {
  std::size_t heads = 1, kv_heads = 1, k_dim = 8, v_dim = 8;
  KvType type = KvType::f32;
  KvForm form = KvForm::heads;
  KvLayout layout() const { return {kv_heads, k_dim, v_dim, type, form}; }
  bool latent() const { return form == KvForm::latent; }
};

/// What q8's integers of x[n] are multiplied by; in bf16 rounded up.
float byte_scale(const float* x, std::size_t n, bool bf16) {
  float largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return kNan;
    largest = std::max(largest, std::fabs(x[i]));
  }
  const float scale = largest < 1e-30f ? 0 : largest / 127;
  const float near = round_to_bf16(scale);
  return !bf16 ? scale : near >= scale ? near : round_to_bf16(scale * 1.00390625f);
}

/// Sequences of random keys, values and queries, and their cache. What was never stored is NaN; so is what
/// lies before and behind the layer's part of each block.
class Cache {
 public:
  static constexpr std::size_t kBefore = 192, kBehind = 128;

  Cache(const Shape& shape, std::size_t sequences, std::size_t tokens) : shape_(shape), tokens_(tokens) {
    const std::size_t blocks = (tokens + kKvBlock - 1) / kKvBlock;
    stride_ = (kBefore + shape.layout().bytes() + kBehind) / 64;
    memory_.resize(sequences * blocks * stride_);
    std::memset(static_cast<void*>(memory_.data()), 0xff, memory_.size() * sizeof(Line));
    pointers_.resize(sequences * blocks);
    for (std::size_t i = 0; i < pointers_.size(); ++i)  // neighbours in a sequence are not neighbours in memory
      pointers_[i] = memory_[(i * 7 % pointers_.size()) * stride_].bytes;
    if (pointers_.size() % 7 == 0)
      for (std::size_t i = 0; i < pointers_.size(); ++i) pointers_[i] = memory_[i * stride_].bytes;
    for (std::size_t s = 0; s < sequences; ++s) views_.push_back({pointers_.data() + s * blocks});
    for (std::size_t s = 0; s < sequences; ++s) {
      k_.push_back(random_rows(3 * s, shape.kv_heads * shape.k_dim));
      v_.push_back(random_rows(3 * s + 1, shape.kv_heads * shape.v_dim));
      q_.push_back(random_rows(3 * s + 2, shape.heads * shape.k_dim));
    }
  }

  std::vector<RowRef> all_rows() const {
    std::vector<RowRef> rows;
    for (std::uint32_t s = 0; s < views_.size(); ++s)
      for (std::uint32_t p = 0; p < tokens_; ++p) rows.push_back({s, p});
    return rows;
  }

  void store(const Ops& ops, const std::vector<RowRef>& rows) const {
    const std::size_t ldk = shape_.kv_heads * shape_.k_dim, ldv = shape_.kv_heads * shape_.v_dim;
    const auto k = gather(k_, rows, ldk, ldk + 3), v = gather(v_, rows, ldv, ldv + 1);
    if (shape_.latent()) return ops.store_latent(shape_.layout(), kBefore, rows, views_, k.data(), ldk + 3);
    ops.store_kv(shape_.layout(), kBefore, rows, views_, k.data(), ldk + 3, v.data(), ldv + 1);
  }

  /// Rows' outputs, [rows][heads * v_dim]; checks that nothing else was written.
  std::vector<float> attend(const Ops& ops, const std::vector<RowRef>& rows, std::size_t shared_rows = 0) const {
    const std::size_t stride = shape_.latent() ? shape_.layout().k_stride() : shape_.k_dim;
    const std::size_t width = shape_.heads * stride, used = shape_.heads * shape_.v_dim, ldo = used + 5;
    std::vector<float> q(rows.size() * (width + 2), 0.0f);
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::size_t h = 0; h < shape_.heads; ++h)
        std::copy_n(q_[rows[r].sequence].begin() + (rows[r].position * shape_.heads + h) * shape_.k_dim, shape_.k_dim,
                    q.begin() + r * (width + 2) + h * stride);
    std::vector<float> out(rows.size() * ldo, kSentinel), packed;
    const std::size_t room = Ops::attention_parts(shape_.layout(), shape_.heads, shared_rows, tokens_);
    std::vector<float> parts(room + 16, kSentinel);
    ops.attention(shape_.layout(), kBefore, rows, views_, shape_.heads, q.data(), width + 2, scale(), out.data(), ldo,
                  std::span(parts).first(room));
    for (std::size_t i = room; i < parts.size(); ++i) EXPECT_EQ(parts[i], kSentinel);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      packed.insert(packed.end(), out.begin() + r * ldo, out.begin() + r * ldo + used);
      for (std::size_t i = used; i < ldo; ++i) EXPECT_EQ(out[r * ldo + i], kSentinel) << "row " << r;
    }
    return packed;
  }

  /// The same of one row and head in double, with the error that fp32 may make.
  void reference(RowRef row, std::size_t head, std::vector<double>& out, double& tolerance) const {
    const std::size_t kv = head / (shape_.heads / shape_.kv_heads);
    const float* q = &q_[row.sequence][(row.position * shape_.heads + head) * shape_.k_dim];
    // As the cache has element i of x[n], of which `group` share a scale of bf16 (0: all of them one of fp32).
    const auto stored = [&](const float* x, std::size_t i, std::size_t n, std::size_t group) {
      if (shape_.type == KvType::f32) return x[i];
      if (shape_.type == KvType::bf16) return round_to_bf16(x[i]);
      const std::size_t begin = group == 0 ? 0 : i / group * group;
      const float scale = byte_scale(x + begin, group == 0 ? n : std::min(group, n - begin), group != 0);
      return scale == 0 ? 0.0f : std::nearbyintf(x[i] * (1 / scale)) * scale;
    };
    const std::size_t key_group = shape_.latent() ? kLatentGroup : kKeyGroup;
    std::vector<double> scores;
    double largest = 0, max = -1e300, total = 0, v_max = 0;
    for (std::size_t t = 0; t <= row.position; ++t) {
      const float* k = &k_[row.sequence][(t * shape_.kv_heads + kv) * shape_.k_dim];
      double dot = 0, norm = 0;
      for (std::size_t d = 0; d < shape_.k_dim; ++d) {
        dot += static_cast<double>(q[d]) * stored(k, d, shape_.k_dim, key_group);
        norm += std::fabs(static_cast<double>(q[d]) * stored(k, d, shape_.k_dim, key_group));
      }
      scores.push_back(dot * scale());
      largest = std::max(largest, norm * scale());
      max = std::max(max, scores.back());
    }
    out.assign(shape_.v_dim, 0);
    for (std::size_t t = 0; t <= row.position; ++t) {
      const float* v = shape_.latent() ? &k_[row.sequence][t * shape_.k_dim]
                                       : &v_[row.sequence][(t * shape_.kv_heads + kv) * shape_.v_dim];
      const double weight = std::exp(scores[t] - max);
      total += weight;
      for (std::size_t d = 0; d < shape_.v_dim; ++d) {
        const auto value = static_cast<double>(shape_.latent() ? stored(v, d, shape_.k_dim, key_group)
                                                               : stored(v, d, shape_.v_dim, 0));
        out[d] += weight * value;
        v_max = std::max(v_max, std::fabs(value));
      }
    }
    for (double& x : out) x /= total;
    // Each score errs by sqrt(k_dim) roundings of its terms' sum, each weight by that and 4 roundings, each
    // sum over tokens by sqrt(tokens): a weighted mean moves by at most twice that times the largest value.
    const double roundings = largest * (2 + std::sqrt(static_cast<double>(shape_.k_dim))) + 6 +
                             std::sqrt(static_cast<double>(row.position + 1));
    tolerance = 2 * 0x1p-24 * roundings * v_max;
  }

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.k_dim)) * 3; }
  std::byte* block(std::size_t sequence, std::size_t index) { return views_[sequence].blocks[index]; }
  std::vector<float>& k(std::size_t s) { return k_[s]; }
  std::vector<float>& v(std::size_t s) { return v_[s]; }
  std::vector<float>& q(std::size_t s) { return q_[s]; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  std::vector<float> random_rows(std::uint64_t stream, std::size_t width) const {
    std::vector<float> x(tokens_ * width);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = random_value(stream, i);
    return x;
  }
  static std::vector<float> gather(const std::vector<std::vector<float>>& from, const std::vector<RowRef>& rows,
                                   std::size_t width, std::size_t ld) {
    std::vector<float> x(rows.size() * ld, kNan);
    for (std::size_t r = 0; r < rows.size(); ++r)
      std::copy_n(from[rows[r].sequence].begin() + rows[r].position * width, width, x.begin() + r * ld);
    return x;
  }

  Shape shape_;
  std::size_t tokens_, stride_ = 0;
  std::vector<Line> memory_;
  std::vector<std::byte*> pointers_;
  std::vector<KvView> views_;
  std::vector<std::vector<float>> k_, v_, q_;  // per sequence: [tokens][heads * dim]
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {1, 1, 1, 1},   {1, 1, 5, 21},  {2, 1, 21, 5},     {3, 3, 16, 16},  {4, 2, 36, 36},  {9, 3, 64, 64},
      {8, 1, 80, 80}, {7, 1, 33, 17}, {12, 2, 128, 128}, {10, 2, 24, 48}, {49, 1, 8, 260},
  };
  return all;
}

std::string describe(const Shape& s) {
  return base::cat(s.heads, " heads, ", s.kv_heads, " kv, ", s.k_dim, " x ", s.v_dim, " ", to_string(s.type));
}

template <typename Body>
void for_shapes(const Body& body) {
  for (Shape shape : shapes())
    for (const KvType type : {KvType::f32, KvType::bf16, KvType::q8}) {
      shape.type = type;
      SCOPED_TRACE(describe(shape));
      body(shape);
    }
}

/// All rows at once on one thread, with the instruction set given.
std::vector<float> attend_all(Cache& cache, Isa isa) {
  base::ThreadPool pool(1);
  const Ops ops(kernel_table(isa), pool, Numerics::exact);
  cache.store(ops, cache.all_rows());
  return cache.attend(ops, cache.all_rows());
}

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

/// Random pieces of a random order of the rows that keeps each sequence ascending.
std::vector<std::vector<RowRef>> random_batches(const std::vector<RowRef>& rows, std::uint64_t seed) {
  std::vector<std::vector<RowRef>> queues, batches(1);
  for (const RowRef& row : rows) {
    if (row.sequence >= queues.size()) queues.resize(row.sequence + 1);
    queues[row.sequence].push_back(row);
  }
  std::vector<std::size_t> next(queues.size(), 0);
  for (std::uint64_t draw = 0, left = rows.size(); left > 0; ++draw) {
    const auto s = static_cast<std::size_t>(base::uniform(seed, 0, draw) * static_cast<double>(queues.size()));
    const auto run = static_cast<std::size_t>(base::uniform(seed, 1, draw) * 20);
    for (std::size_t i = 0; i <= run && next[s] < queues[s].size(); ++i, --left)
      batches.back().push_back(queues[s][next[s]++]);
    if (base::uniform(seed, 2, draw) < 0.3 && !batches.back().empty()) batches.emplace_back();
  }
  if (batches.back().empty()) batches.pop_back();
  return batches;
}

TEST(Attention, BatchesAndThreadsChangeNoBit) {
  for_shapes([](const Shape& shape) {
    const std::size_t width = shape.heads * shape.v_dim, tokens = 135;
    Cache whole(shape, 3, tokens);
    const auto expected = attend_all(whole, best_isa());
    for (const std::size_t threads : {1, 2, 3}) {
      base::ThreadPool pool(threads);
      const Ops ops(kernel_table(best_isa()), pool, Numerics::exact);
      EXPECT_TRUE(same_bits(whole.attend(ops, whole.all_rows()), expected)) << threads << " threads";
      // As a server does: each batch is stored, then attends; nothing later is in the cache yet.
      Cache cache(shape, 3, tokens);
      for (const auto& batch : random_batches(cache.all_rows(), 5 + threads)) {
        cache.store(ops, batch);
        const auto out = cache.attend(ops, batch);
        for (std::size_t r = 0; r < batch.size(); ++r) {
          const std::size_t at = (batch[r].sequence * tokens + batch[r].position) * width;
          ASSERT_TRUE(same_bits({out.begin() + r * width, out.begin() + (r + 1) * width},
                                {expected.begin() + at, expected.begin() + at + width}))
              << "sequence " << batch[r].sequence << " position " << batch[r].position << ", " << threads << " threads";
        }
      }
    }
  });
}

TEST(Attention, RowsAloneEqualRowsTogether) {
  for_shapes([](const Shape& shape) {
    const std::size_t width = shape.heads * shape.v_dim, tokens = 70;
    Cache cache(shape, 1, tokens);
    const auto expected = attend_all(cache, best_isa());
    base::ThreadPool pool(2);
    const Ops ops(kernel_table(best_isa()), pool, Numerics::exact);
    for (std::uint32_t p = 0; p < tokens; ++p)
      ASSERT_TRUE(
          same_bits(cache.attend(ops, {{0, p}}), {expected.begin() + p * width, expected.begin() + (p + 1) * width}))
          << p;
    // Any order, any repetition.
    const auto out = cache.attend(ops, {{0, 69}, {0, 0}, {0, 63}, {0, 64}, {0, 64}});
    std::size_t i = 0;
    for (const std::size_t p : {69, 0, 63, 64, 64}) {
      ASSERT_TRUE(same_bits({out.begin() + i * width, out.begin() + (i + 1) * width},
                            {expected.begin() + p * width, expected.begin() + (p + 1) * width}))
          << p;
      ++i;
    }
  });
}

TEST(Attention, LongContextsInManyTasksKeepTheirBits) {
  // Enough work that one row's heads are shared out among threads.
  const Shape shape{14, 2, 64, 64, KvType::bf16};
  Cache cache(shape, 1, 1500);
  const auto expected = attend_all(cache, best_isa());
  const std::size_t width = shape.heads * shape.v_dim;
  for (const std::size_t threads : {2, 3, 8}) {
    base::ThreadPool pool(threads);
    const Ops ops(kernel_table(best_isa()), pool, Numerics::fast);
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
    const Ops alone(kernel_table(Isa::scalar), one, Numerics::fast);
    cache.store(alone, cache.all_rows());
    const std::vector<RowRef> rows = {{0, 4677}, {0, 255}, {0, 256}, {0, 4608}, {0, 2047}, {0, 63}};
    const auto expected = cache.attend(alone, rows);
    const std::size_t width = shape.heads * shape.v_dim;
    for (const Isa isa : available_isas())
      for (const std::size_t threads : {1, 2, 5, 16}) {
        base::ThreadPool pool(threads);
        const Ops ops(kernel_table(isa), pool, Numerics::fast);
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

TEST(Attention, WhatLiesBehindARowDoesNotMatter) {
  for_shapes([](const Shape& shape) {
    Cache cache(shape, 1, 130);
    base::ThreadPool pool(1);
    const Ops ops(kernel_table(best_isa()), pool, Numerics::exact);
    std::vector<RowRef> first;
    for (std::uint32_t p = 0; p < 77; ++p) first.push_back({0, p});
    cache.store(ops, first);
    const auto before = cache.attend(ops, first);  // NaN behind position 76
    for (const float x : before) ASSERT_TRUE(std::isfinite(x));
    for (const float junk : {1e30f, -kInf, kInf, 0.0f}) {
      Cache other(shape, 1, 130);
      other.store(ops, first);
      for (auto* rows : {&other.k(0), &other.v(0)}) std::fill(rows->begin(), rows->end(), junk);
      std::vector<RowRef> later;
      for (std::uint32_t p = 77; p < 130; ++p) later.push_back({0, p});
      other.store(ops, later);
      ASSERT_TRUE(same_bits(other.attend(ops, first), before)) << junk;
    }
  });
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
            put(h * channels * 64 + at(d, t, 64), d >= shape.k_dim ? 0.0f : cache.k(0)[(row.position * shape.kv_heads + h) * shape.k_dim + d]);
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
