#include "models/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>

#include "models/config.h"

namespace minke::models {
namespace {

TEST(Rope, PlainFrequenciesAreInversePowersOfTheta) {
  const Rope rope({.theta = 10000.0, .dim = 8});
  ASSERT_EQ(rope.half(), 4u);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_FLOAT_EQ(rope.inverse_frequencies()[i],
                    static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / 4.0)));
  EXPECT_EQ(rope.attention_factor(), 1.0f);
}

TEST(Rope, Llama3KeepsShortWavesAndDividesLongOnes) {
  const RopeConfig config{
      .theta = 500000.0, .dim = 128, .scaling = RopeScaling::llama3, .factor = 8.0, .original_max_position = 8192};
  const Rope scaled(config);
  const Rope plain({.theta = 500000.0, .dim = 128});
  for (std::size_t i = 0; i < scaled.half(); ++i) {
    const double wavelength = 2 * std::numbers::pi / plain.inverse_frequencies()[i];
    const float ratio = scaled.inverse_frequencies()[i] / plain.inverse_frequencies()[i];
    if (wavelength < 2048 * 0.999) {
      EXPECT_EQ(ratio, 1.0f) << i;
    }
    if (wavelength > 8192 * 1.001) {
      EXPECT_NEAR(ratio, 0.125f, 1e-6f) << i;
    }
    EXPECT_GE(ratio, 0.124f);
    EXPECT_LE(ratio, 1.0001f);
  }
}

TEST(Rope, YarnKeepsFastFrequenciesAndGrowsTheAngles) {
  const RopeConfig config{
      .theta = 10000.0, .dim = 64, .scaling = RopeScaling::yarn, .factor = 40.0, .original_max_position = 4096};
  const Rope rope(config);
  const Rope plain({.theta = 10000.0, .dim = 64});
  // DeepSeek-V3's numbers: the correction range is 10 .. 23.
  EXPECT_FLOAT_EQ(rope.inverse_frequencies()[10], plain.inverse_frequencies()[10]);
  EXPECT_FLOAT_EQ(rope.inverse_frequencies()[23] * 40.0f, plain.inverse_frequencies()[23]);
  EXPECT_NEAR(rope.attention_factor(), 0.1 * std::log(40.0) + 1.0, 1e-6);
}

/// Of a configuration whose YaRN blends between `low` and `high`: the frequencies outside that range.
void expect_blend(const RopeConfig& config, std::size_t low, std::size_t high) {
  const Rope rope(config);
  const Rope plain({.theta = config.theta, .dim = config.dim});
  for (std::size_t i = 0; i < rope.half(); ++i) {
    const float ratio = rope.inverse_frequencies()[i] / plain.inverse_frequencies()[i];
    const float stretched = ratio * static_cast<float>(config.factor);
    if (i <= low) {
      EXPECT_FLOAT_EQ(ratio, 1.0f) << i;
    } else if (i >= high) {
      EXPECT_FLOAT_EQ(stretched, 1.0f) << i;
    } else {
      EXPECT_TRUE(ratio < 1 && stretched > 1) << i;
    }
  }
}

// The lengths of the original context, not of the stretched one, and each release's own beta_fast: Kimi-K2's 1 leaves
// a step, where V3's 32 blends over thirteen frequencies.
TEST(Rope, PublishedYarnBlendsWhereItsReleaseSays) {
  const auto published = [](const std::string& name) {
    const std::string path = std::string(MINKE_SOURCE_DIR) + "/data/shapes/" + name + ".json";
    return read_config(*formats::Checkpoint::open_config(path));
  };
  const DecoderConfig v3 = published("deepseek-v3"), kimi = published("kimi-k2"), lite = published("deepseek-v2-lite");
  EXPECT_EQ(v3.max_position_embeddings, 163840);
  EXPECT_EQ(kimi.max_position_embeddings, 131072);
  expect_blend(v3.attention.rope, 10, 23);
  expect_blend(lite.attention.rope, 10, 23);
  expect_blend(kimi.attention.rope, 19, 20);
  // Equal mscale and mscale_all_dim: cos and sin as they are, the scores times mscale squared.
  const auto mscale = [](double factor, double m) { return 0.1 * m * std::log(factor) + 1; };
  for (const DecoderConfig* config : {&v3, &kimi, &lite}) {
    EXPECT_EQ(Rope(config->attention.rope).attention_factor(), 1.0f);
    EXPECT_NEAR(config->attention.mla.softmax_mscale,
                mscale(config->attention.rope.factor, config == &lite ? 0.707 : 1.0), 1e-12);
  }
}

TEST(Rope, YarnWithNothingToBlendIsAStep) {
  RopeConfig config{
      .theta = 10000.0, .dim = 64, .scaling = RopeScaling::yarn, .factor = 40.0, .original_max_position = 6};
  // Both ends at the first frequency: one turn takes 6.28 positions.
  expect_blend(config, 0, 1);
  config.original_max_position = 4096;
  config.beta_fast = config.beta_slow = 1;
  config.truncate = false;  // both ends at 22.5
  expect_blend(config, 22, 23);
}

TEST(Rope, AnglesAreThoseOfTheFp32Product) {
  const Rope rope({.theta = 1e6, .dim = 32});
  std::vector<float> cos(rope.half()), sin(rope.half());
  for (const std::uint32_t position : {0u, 1u, 1000u, 131071u}) {
    rope.angles(position, cos.data(), sin.data());
    for (std::size_t i = 0; i < rope.half(); ++i) {
      const float angle = static_cast<float>(position) * rope.inverse_frequencies()[i];
      EXPECT_NEAR(cos[i], std::cos(static_cast<double>(angle)), 1e-7);
      EXPECT_NEAR(sin[i], std::sin(static_cast<double>(angle)), 1e-7);
    }
  }
}

}  // namespace
}  // namespace minke::models
