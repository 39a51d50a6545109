#include "cli/random_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cli/bench_kernels.h"
#include "cli/layer_weights.h"

namespace minke::cli {
namespace {

TEST(RandomWeights, EveryTypeCanBePackedAndIsFinite) {
  base::ThreadPool pool(2);
  for (const formats::DType type : packable_types()) {
    const kernels::PackedMatrix matrix = random_matrix("w", type, 48, 512, /*seed=*/3, pool);
    std::vector<float> row(512), first(512);
    for (std::size_t r = 0; r < 48; ++r) {
      matrix.unpack_row(r, row);
      if (r == 0) first = row;
      EXPECT_TRUE(std::ranges::all_of(row, [](float x) { return std::isfinite(x); })) << formats::info(type).name;
    }
    EXPECT_GT(std::ranges::count_if(first, [](float x) { return x != 0; }), 256) << formats::info(type).name;
    EXPECT_NE(first, row) << formats::info(type).name;
  }
}

TEST(RandomWeights, DependOnTheSeedAlone) {
  base::ThreadPool one(1), three(3);
  const auto bytes = [](base::ThreadPool& pool, std::uint64_t seed) {
    return random_bytes(formats::DType::bf16, 3'000'001, seed, pool);
  };
  EXPECT_EQ(bytes(one, 5), bytes(three, 5));
  EXPECT_NE(bytes(one, 5), bytes(one, 6));
  for (const float x : random_floats(1000, 1)) EXPECT_LT(std::fabs(x), 1.0F + 1e-6F);
}

models::DecoderConfig small_moe() {
  models::DecoderConfig config;
  config.architecture = "deepseek_v3";
  config.vocab_size = 1000;
  config.hidden_size = 256;
  config.num_hidden_layers = 3;
  config.attention.kind = models::AttentionKind::mla;
  config.attention.heads = 4;
  config.attention.mla = {
      .q_lora_rank = 128, .kv_lora_rank = 64, .qk_nope_head_dim = 32, .qk_rope_head_dim = 16, .v_head_dim = 32};
  config.feed_forward.intermediate_size = 512;
  config.feed_forward.kinds = {models::FeedForwardKind::dense, models::FeedForwardKind::moe,
                               models::FeedForwardKind::moe};
  config.feed_forward.moe = {.n_routed_experts = 8,
                             .num_experts_per_tok = 2,
                             .moe_intermediate_size = 128,
                             .n_shared_experts = 1,
                             .shared_intermediate_size = 128};
  return config;
}

TEST(LayerWeights, HoldWhatWasMeasured) {
  base::ThreadPool pool(2);
  const models::DecoderConfig layer = one_layer(small_moe());
  ASSERT_EQ(layer.feed_forward.kinds, std::vector{models::FeedForwardKind::moe});
  const LayerBytes bytes = measure_layer(layer, formats::DType::f8_e4m3);
  std::uint64_t reported = 0;
  const models::LayerWeights weights =
      random_layer(layer, formats::DType::f8_e4m3, pool, [&](std::uint64_t done, std::uint64_t) { reported = done; });
  EXPECT_EQ(reported, bytes.total());
  EXPECT_EQ(bytes.experts, 8 * bytes.expert);
  const auto& moe = std::get<models::MoeWeights>(weights.feed_forward);
  ASSERT_EQ(moe.gate.size(), 8U);
  EXPECT_EQ(moe.gate[0].bytes() + moe.up[0].bytes() + moe.down[0].bytes(), bytes.expert);
  EXPECT_EQ(moe.down[7].dtype(), formats::DType::f8_e4m3);
  EXPECT_EQ(moe.router.weight.dtype(), formats::DType::bf16);
  const auto& mla = std::get<models::MlaWeights>(weights.attention);
  EXPECT_EQ(mla.k_b.size(), 4U);
  EXPECT_EQ(mla.k_b[0].rows(), 64U);
  EXPECT_EQ(mla.k_b[0].cols(), 32U);
  EXPECT_EQ(layer_dtype(models::Role::q, 100, formats::DType::q4_k), formats::DType::bf16) << "blocks do not divide it";
}

}  // namespace
}  // namespace minke::cli
