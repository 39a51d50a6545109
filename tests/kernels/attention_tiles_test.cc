// Attention on Intel AMX's tiles: over a twin of the tiles in plain C++ everywhere, and over the real ones where the
// processor has them, bit for bit the same.
#include <gtest/gtest.h>

#include <vector>

#include "attention_testing.h"
#include "kernels/isa.h"
#include "kernels/kernel_table.h"

// As in isa_amx.cc.
// clang-format off
#include "kernels/isa/simd_scalar.h"
#include "tiles_twin.h"
#include "kernels/isa/exp.inl"
#include "kernels/isa/attention_splits.inl"
#include "kernels/isa/attention_tiles.inl"
// clang-format on

namespace minke::kernels {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): all of it is for this file

const KernelTable& twin_table() {
  static const KernelTable twin = [] {
    KernelTable table = kernel_table(Isa::scalar);
    table.name = "amx twin";
    table.attention_bf16 = &attention_on_tiles<TilesTwin, kScalarTable>;
    return table;
  }();
  return twin;
}

/// The fastest table that computes what the twin does.
const KernelTable& tiles_table() {
  for (const Isa isa : available_isas())
    if (isa == Isa::amx) return kernel_table(Isa::amx);
  return twin_table();
}

template <typename Body>
void for_tiled_shapes(const Body& body) {
  std::vector<Shape> all = shapes();
  all.push_back({20, 1, 96, 192});  // two tiles of rows for one position
  all.push_back({2, 1, 256, 256});
  for (Shape shape : all) {
    shape.type = KvType::bf16;
    SCOPED_TRACE(describe(shape));
    body(shape);
  }
}

TEST(AttentionTiles, TheProcessorsAreTheTwins) {
  for_tiled_shapes([](const Shape& shape) {
    Cache cache(shape, 1, 270);
    // Subnormals and what makes them, of keys and queries; scores of every size.
    for (std::size_t i = 0; i < cache.k(0).size(); i += 7) cache.k(0)[i] *= 1e-30f;
    for (std::size_t i = 0; i < cache.q(0).size(); i += 5) cache.q(0)[i] *= i % 2 != 0 ? 1e-12f : 40.0f;
    for (std::size_t i = 0; i < cache.v(0).size(); i += 3) cache.v(0)[i] *= 1e-38f;
    base::ThreadPool pool(1);
    const Ops twin(twin_table(), pool, Numerics::fast), tiles(tiles_table(), pool, Numerics::fast);
    cache.store(twin, cache.all_rows());
    std::vector<RowRef> rows;  // few: a twin takes its time
    for (std::uint32_t p = 0; p < 270; p += p % 64 < 3 || p > 265 ? 1 : 9) rows.push_back({0, p});
    EXPECT_TRUE(same_bits(cache.attend(tiles, rows), cache.attend(twin, rows)));
  });
}

TEST(AttentionTiles, MatchesDouble) {
  for_tiled_shapes([](const Shape& shape) {
    const std::size_t tokens = 330;
    Cache cache(shape, 1, tokens);
    const auto out = attend_all(cache, tiles_table(), Numerics::fast);
    std::vector<double> exact;
    double tolerance = 0;
    for (std::uint32_t p = 0; p < tokens; p += p < 3 || (p > 60 && p < 66) || (p > 253 && p < 259) ? 1 : 13)
      for (std::size_t h = 0; h < shape.heads; ++h) {
        cache.reference({0, p}, h, exact, tolerance, true);
        for (std::size_t d = 0; d < shape.v_dim; ++d)
          ASSERT_NEAR(out[(p * shape.heads + h) * shape.v_dim + d], exact[d], tolerance)
              << "position " << p << " head " << h << " channel " << d;
      }
  });
}

TEST(AttentionTiles, BatchesAndThreadsChangeNoBit) {
  const bool emulated = tiles_table().attention_bf16 == twin_table().attention_bf16;
  for_tiled_shapes([&](const Shape& s) {
    if (emulated && s.heads * (s.k_dim + s.v_dim) > 1000) return;  // these alone would take most of a minute
    expect_batches_and_threads_change_no_bit(s, tiles_table(), Numerics::fast);
  });
}

TEST(AttentionTiles, RowsAloneEqualRowsTogether) {
  for_tiled_shapes([](const Shape& s) { expect_rows_alone_equal_rows_together(s, tiles_table(), Numerics::fast); });
}

TEST(AttentionTiles, WhatLiesBehindARowDoesNotMatter) {
  for_tiled_shapes([](const Shape& s) { expect_what_lies_behind_not_to_matter(s, tiles_table(), Numerics::fast); });
}

TEST(AttentionTiles, SharingAPastAmongThreadsChangesNoBit) {
  const Shape shape{6, 2, 16, 21, KvType::bf16};
  Cache cache(shape, 1, 4608 + 70);
  base::ThreadPool one(1);
  const Ops alone(tiles_table(), one, Numerics::fast);
  cache.store(alone, cache.all_rows());
  for (const std::size_t threads : {1, 2, 5, 16}) {
    base::ThreadPool pool(threads);
    const Ops ops(tiles_table(), pool, Numerics::fast);
    for (const std::uint32_t p : {4677U, 255U, 256U, 4608U, 2047U, 63U})
      EXPECT_TRUE(same_bits(cache.attend(ops, {{0, p}}, 1), cache.attend(alone, {{0, p}})))
          << threads << " threads, position " << p;
  }
}

TEST(AttentionTiles, NanReachesTheRowsThatSeeItAndNoOther) {
  for (const std::size_t heads : {4, 40}) {  // several rows in a tile, several tiles in a row
    const Shape shape{heads, 2, 32, 32, KvType::bf16};
    const std::size_t width = shape.heads * shape.v_dim, tokens = 100;
    for (const bool in_keys : {true, false}) {
      Cache cache(shape, 1, tokens);
      const auto clean = attend_all(cache, tiles_table(), Numerics::fast);
      (in_keys ? cache.k(0) : cache.v(0))[(80 * 2 + 1) * 32 + 3] = kNan;  // position 80, kv head 1
      const auto out = attend_all(cache, tiles_table(), Numerics::fast);
      EXPECT_TRUE(same_bits(attend_all(cache, twin_table(), Numerics::fast), out));
      for (std::size_t p = 0; p < tokens; ++p)
        for (std::size_t i = 0; i < width; ++i) {
          const bool seen = p >= 80 && i >= width / 2 && (in_keys || i % 32 == 3);
          ASSERT_EQ(std::isnan(out[p * width + i]), seen) << p << " " << i;
          if (!seen) {
            ASSERT_EQ(out[p * width + i], clean[p * width + i]) << p << " " << i;
          }
        }
    }
  }
}

}  // namespace
}  // namespace minke::kernels
