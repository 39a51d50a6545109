#include "engine/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "kernels/math.h"

namespace minke::engine {
namespace {

std::map<std::int32_t, int> frequencies(const SamplingParams& params, const std::vector<float>& logits,
                                        int draws = 20000) {
  Sampler sampler(params, logits.size());
  std::map<std::int32_t, int> counts;
  for (int position = 0; position < draws; ++position) {
    std::vector<float> copy = logits;
    ++counts[sampler.sample(copy, {}, static_cast<std::uint64_t>(position))];
  }
  return counts;
}

TEST(Sampling, GreedyTakesTheLowestIdAmongEquals) {
  Sampler sampler({.temperature = 0}, 4);
  std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(sampler.sample(logits, {}, 0), 1);
}

TEST(Sampling, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto counts = frequencies({.seed = 3}, logits);
  EXPECT_NEAR(counts.at(0) / 20000.0, 0.5, 0.02);
  EXPECT_NEAR(counts.at(1) / 20000.0, 0.3, 0.02);
  EXPECT_NEAR(counts.at(2) / 20000.0, 0.2, 0.02);
}

TEST(Sampling, TemperatureSharpens) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  // p^2 renormalised: 0.25 / 0.38.
  EXPECT_NEAR(frequencies({.temperature = 0.5}, logits).at(0) / 20000.0, 0.658, 0.02);
}

TEST(Sampling, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  EXPECT_EQ(frequencies({.top_k = 2}, logits).count(0), 0u);
  EXPECT_EQ(frequencies({.top_p = 0.8}, logits).count(0), 0u);
  EXPECT_EQ(frequencies({.top_p = 0.81}, logits).size(), 3u);
  EXPECT_EQ(frequencies({.top_p = 0.4}, logits).size(), 1u);
  EXPECT_EQ(frequencies({.min_p = 0.5}, logits).count(0), 0u);
  EXPECT_EQ(frequencies({.min_p = 0.3}, logits).size(), 3u);
}

/// What the parameters mean, by sorting everything.
std::int32_t plain_sample(const SamplingParams& params, const std::vector<float>& logits, std::uint64_t position) {
  struct One {
    double weight;
    float logit;
    std::int32_t id;
  };
  const float top = *std::max_element(logits.begin(), logits.end());
  std::vector<One> all;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double x = (static_cast<double>(logits[i]) - static_cast<double>(top)) / params.temperature;
    all.push_back(
        {static_cast<double>(kernels::exp_f32(static_cast<float>(x))), logits[i], static_cast<std::int32_t>(i)});
  }
  // A cut is by likelihood; where nothing is cut, a draw runs over the tokens by id.
  const bool cut = params.top_k > 0 && static_cast<std::size_t>(params.top_k) < all.size();
  const bool sorted = cut || params.top_p < 1 || params.min_p > 0;
  if (sorted) std::stable_sort(all.begin(), all.end(), [](const One& a, const One& b) { return a.logit > b.logit; });
  if (cut) all.resize(static_cast<std::size_t>(params.top_k));
  const auto sum = [&] {
    double total = 0;
    for (const One& one : all) total += one.weight;
    return total;
  };
  if (params.top_p < 1) {
    const double wanted = params.top_p * sum();
    std::size_t kept = 0;
    for (double mass = 0; kept < all.size() && mass < wanted; ++kept) mass += all[kept].weight;
    all.resize(kept);
  }
  while (all.back().weight < params.min_p * all.front().weight) all.pop_back();
  const double target = base::uniform(params.seed, 0, position) * sum();
  double mass = 0;
  for (const One& one : all)
    if (target < (mass += one.weight)) return one.id;
  return all.back().id;
}

TEST(Sampling, IsWhatSortingEverythingGives) {
  // A vocabulary of many chunks, with ties and a long tail; sums in another order may differ in their last bits, which
  // none of these draws meets.
  for (const std::size_t vocab : {1U, 255U, 256U, 5000U, 20011U}) {
    std::vector<float> logits(vocab);
    for (std::size_t i = 0; i < vocab; ++i) {
      const auto u = static_cast<float>(base::uniform(7, 1, i));
      logits[i] = std::floor(u * u * u * u * 60) / 4;
    }
    for (const double temperature : {0.3, 1.0, 4.0})
      for (const std::int64_t top_k : {0, 2, 40, 700, 30000})
        for (const double top_p : {1.0, 0.9, 0.3})
          for (const double min_p : {0.0, 0.2}) {
            const SamplingParams params{
                .temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p, .seed = 5};
            Sampler sampler(params, vocab);
            for (std::uint64_t position = 0; position < 12; ++position) {
              std::vector<float> copy = logits;
              ASSERT_EQ(sampler.sample(copy, {}, position), plain_sample(params, logits, position))
                  << vocab << " tokens, temperature " << temperature << ", top-k " << top_k << ", top-p " << top_p
                  << ", min-p " << min_p << ", position " << position;
            }
          }
  }
}

TEST(Sampling, TheMostLikelyIsFoundInAnyChunk) {
  for (const std::size_t at : {0U, 255U, 256U, 700U, 1023U, 1024U}) {
    std::vector<float> logits(1025, -3.0f);
    logits[at] = -2.5f;
    Sampler sampler({.temperature = 0}, logits.size());
    EXPECT_EQ(sampler.sample(logits, {}, 0), static_cast<std::int32_t>(at));
    logits[1024] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(sampler.sample(logits, {}, 0), base::Error);
  }
}

TEST(Sampling, RepeatPenaltyLowersSeenTokensOfEitherSign) {
  Sampler sampler({.temperature = 0, .repeat_penalty = 2}, 3);
  const std::vector<std::int32_t> history = {0, 2, 0};
  std::vector<float> logits = {1.5f, 1.0f, -1.0f};
  EXPECT_EQ(sampler.sample(logits, history, 3), 1);
  EXPECT_EQ(logits, (std::vector<float>{0.75f, 1.0f, -2.0f}));
}

TEST(Sampling, PresenceAndFrequencyCountTheReplyAlone) {
  const SamplingParams params{.temperature = 0, .presence_penalty = 0.5, .frequency_penalty = 0.25};
  Sampler sampler({}, 4);
  sampler.use(params, 0, /*prompt=*/2);
  const std::vector<std::int32_t> history = {3, 3, 0, 1, 0, 0};
  std::vector<float> logits = {2, 1, 0.25f, 0.5f};
  EXPECT_EQ(sampler.sample(logits, history, 6), 0);
  EXPECT_EQ(logits, (std::vector<float>{2 - 0.5f - 3 * 0.25f, 1 - 0.75f, 0.25f, 0.5f}));
}

TEST(Sampling, BiasesForbidAndForce) {
  Sampler sampler({}, 3);
  const SamplingParams forbidden{.temperature = 1, .logit_bias = {{1, -100}}};
  const SamplingParams forced{.temperature = 1, .logit_bias = {{0, 100}, {99, 100}}};
  for (std::uint64_t position = 0; position < 200; ++position) {
    std::vector<float> logits = {1, 5, 1};
    sampler.use(forbidden, 0, 0);
    EXPECT_NE(sampler.sample(logits, {}, position), 1);
    logits = {1, 5, 1};
    sampler.use(forced, 0, 0);
    EXPECT_EQ(sampler.sample(logits, {}, position), 0);
  }
}

TEST(Sampling, StreamsOfOneSeedDiffer) {
  const SamplingParams params{.seed = 5};
  Sampler sampler({}, 50);
  int same = 0;
  for (std::uint64_t position = 0; position < 50; ++position) {
    std::vector<float> logits(50, 0.0f);
    sampler.use(params, 0, 0);
    const std::int32_t first = sampler.sample(logits, {}, position);
    sampler.use(params, 1, 0);
    same += sampler.sample(logits, {}, position) == first ? 1 : 0;
  }
  EXPECT_LT(same, 10);
}

TEST(Sampling, ADrawDependsOnItsPositionAlone) {
  const std::vector<float> logits(50, 0.0f);
  Sampler first({.seed = 9}, 50), second({.seed = 9}, 50);
  std::vector<float> copy = logits;
  (void)first.sample(copy, {}, 1);
  copy = logits;
  const std::int32_t later = first.sample(copy, {}, 2);
  copy = logits;
  EXPECT_EQ(second.sample(copy, {}, 2), later);
}

TEST(Sampling, LogitsThatAreNotFiniteAreAnError) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Sampler sampler({}, 2);
    std::vector<float> logits = {0, bad};
    EXPECT_THROW(sampler.sample(logits, {}, 0), base::Error);
  }
}

TEST(Sampling, ParamsOutOfRangeAreNamed) {
  const auto refused = [](const SamplingParams& params, const std::string& field) {
    try {
      params.validate();
      ADD_FAILURE() << field << " was accepted";
    } catch (const base::Error& error) {
      EXPECT_NE(error.message().find(field), std::string::npos) << error.message();
    }
  };
  refused({.temperature = -1}, "temperature");
  refused({.temperature = std::nan("")}, "temperature");
  refused({.top_k = -1}, "top_k");
  refused({.top_p = 0}, "top_p");
  refused({.top_p = 1.5}, "top_p");
  refused({.min_p = 2}, "min_p");
  refused({.repeat_penalty = 0}, "repeat_penalty");
  refused({.presence_penalty = 2.5}, "presence_penalty");
  refused({.frequency_penalty = std::nan("")}, "frequency_penalty");
  refused({.logit_bias = {{1, 101}}}, "logit_bias");
  refused({.logit_bias = {{-1, 1}}}, "logit_bias");
  refused({.logit_bias = std::vector<LogitBias>(kMaxBiases + 1)}, "logit_bias");
}

}  // namespace
}  // namespace minke::engine
