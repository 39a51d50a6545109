// Shared by the tests of attention: a cache with random contents, its reference in double precision, and what holds for
// every kind of arithmetic.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/cat.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels::testing {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kSentinel = -12345.678f;

inline float random_value(std::uint64_t stream, std::uint64_t i) {
  return static_cast<float>(2 * base::uniform(23, stream, i) - 1);
}

inline float round_to_bf16(float x) {  // by the definition: the nearer of the two neighbours, ties to the even one
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

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
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
inline float byte_scale(const float* x, std::size_t n, bool bf16) {
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

  /// The same of one row and head in double, with the error that fp32 may make; `halves`: with queries rounded to BF16,
  /// and the error that weights in BF16 make.
  void reference(RowRef row, std::size_t head, std::vector<double>& out, double& tolerance, bool halves = false) const {
    const std::size_t kv = head / (shape_.heads / shape_.kv_heads);
    const auto first = q_[row.sequence].begin() + (row.position * shape_.heads + head) * shape_.k_dim;
    std::vector<float> q(first, first + shape_.k_dim);
    for (float& x : q) x = halves ? round_to_bf16(x) : x;
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
    // A weight errs by half a unit, a mean by that times how far values lie from it.
    if (halves) tolerance += 2 * (0x1p-8 + 1e-5) * v_max;
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

inline const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {1, 1, 1, 1},   {1, 1, 5, 21},  {2, 1, 21, 5},     {3, 3, 16, 16},  {4, 2, 36, 36},  {9, 3, 64, 64},
      {8, 1, 80, 80}, {7, 1, 33, 17}, {12, 2, 128, 128}, {10, 2, 24, 48}, {49, 1, 8, 260},
  };
  return all;
}

inline std::string describe(const Shape& s) {
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

/// All rows at once on one thread.
inline std::vector<float> attend_all(Cache& cache, const KernelTable& table, Numerics numerics) {
  base::ThreadPool pool(1);
  const Ops ops(table, pool, numerics);
  cache.store(ops, cache.all_rows());
  return cache.attend(ops, cache.all_rows());
}

/// Random pieces of a random order of the rows that keeps each sequence ascending.
inline std::vector<std::vector<RowRef>> random_batches(const std::vector<RowRef>& rows, std::uint64_t seed) {
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

inline void expect_batches_and_threads_change_no_bit(const Shape& shape, const KernelTable& table, Numerics numerics) {
  const std::size_t width = shape.heads * shape.v_dim, tokens = 135;
  Cache whole(shape, 3, tokens);
  const auto expected = attend_all(whole, table, numerics);
  for (const std::size_t threads : {1, 2, 3}) {
    base::ThreadPool pool(threads);
    const Ops ops(table, pool, numerics);
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
}

inline void expect_rows_alone_equal_rows_together(const Shape& shape, const KernelTable& table, Numerics numerics) {
  const std::size_t width = shape.heads * shape.v_dim, tokens = 70;
  Cache cache(shape, 1, tokens);
  const auto expected = attend_all(cache, table, numerics);
  base::ThreadPool pool(2);
  const Ops ops(table, pool, numerics);
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
}

inline void expect_what_lies_behind_not_to_matter(const Shape& shape, const KernelTable& table, Numerics numerics) {
  Cache cache(shape, 1, 130);
  base::ThreadPool pool(1);
  const Ops ops(table, pool, numerics);
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
}

}  // namespace minke::kernels::testing
