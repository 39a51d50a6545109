#include "engine/dry.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "base/error.h"

namespace minke::engine {
namespace {

using Ids = std::vector<std::int32_t>;

std::vector<float> lowered(const DryParams& params, const Ids& history, std::size_t vocab = 12) {
  std::vector<float> logits(vocab, 0);
  std::vector<std::uint8_t> scratch(vocab, 0);
  apply_dry(params, history, logits, scratch);
  for (const std::uint8_t byte : scratch) EXPECT_EQ(byte, 0);
  for (float& x : logits) x = -x;
  return logits;
}

TEST(Dry, LowersWhatWouldGoOnWithARepetition) {
  const DryParams params{.multiplier = 0.8, .base = 1.75, .allowed_length = 2};
  // "1 2 3 4" stood there; "1 2 3" stands at the end.
  const auto penalties = lowered(params, {1, 2, 3, 4, 5, 1, 2, 3});
  EXPECT_FLOAT_EQ(penalties[4], static_cast<float>(0.8 * 1.75));
  for (const std::size_t other : {0, 1, 2, 3, 5, 6}) EXPECT_EQ(penalties[other], 0);
  EXPECT_EQ(lowered(params, {3, 4, 5, 3})[4], 0) << "one token is shorter than what is allowed";
  EXPECT_EQ(lowered(params, {}), std::vector<float>(12, 0));
}

TEST(Dry, BreakersEndMatches) {
  DryParams params{.multiplier = 1, .base = 2, .allowed_length = 1};
  const Ids history = {1, 2, 3, 4, 5, 1, 2, 3};
  EXPECT_EQ(lowered(params, history)[4], 4);
  params.breakers = {{2}};
  EXPECT_EQ(lowered(params, history)[4], 1);
  params.breakers = {{3}};
  EXPECT_EQ(lowered(params, history)[4], 0);
  params.breakers = {{4}};
  EXPECT_EQ(lowered(params, history)[4], 0) << "a breaker is never lowered";
  params.breakers = {{1, 2}};
  EXPECT_EQ(lowered(params, history)[4], 1);
  params.breakers = {{9, 2}, {4, 5}};
  EXPECT_EQ(lowered(params, history)[4], 4);
}

TEST(Dry, LooksAtItsRangeAlone) {
  DryParams params{.multiplier = 1, .base = 2, .allowed_length = 1, .range = 8};
  const Ids history = {1, 2, 3, 4, 5, 1, 2, 3};
  EXPECT_EQ(lowered(params, history)[4], 4);
  params.range = 7;
  EXPECT_EQ(lowered(params, history)[4], 2);
  params.range = 3;
  EXPECT_EQ(lowered(params, history)[4], 0);
}

/// The first implementation, read plainly: for each earlier place of the last token the length of the match.
std::map<std::int32_t, double> plain(const DryParams& params, const Ids& ids) {
  std::map<std::int32_t, std::size_t> lengths;
  const auto breaks = [&](std::int32_t token) {
    for (const auto& breaker : params.breakers)
      if (breaker == Ids{token}) return true;
    return false;
  };
  const std::size_t n = ids.size();
  if (n == 0 || breaks(ids[n - 1])) return {};
  for (std::size_t i = 0; i + 1 < n; ++i) {
    if (ids[i] != ids[n - 1] || breaks(ids[i + 1])) continue;
    std::size_t length = 1;
    while (length < DryParams::kLongest && length <= i && ids[i - length] == ids[n - 1 - length] &&
           !breaks(ids[n - 1 - length]))
      ++length;
    lengths[ids[i + 1]] = std::max(lengths[ids[i + 1]], length);
  }
  std::map<std::int32_t, double> penalties;
  for (const auto& [token, length] : lengths)
    if (length >= static_cast<std::size_t>(params.allowed_length))
      penalties[token] = params.multiplier * std::pow(params.base, static_cast<double>(length) -
                                                                       static_cast<double>(params.allowed_length));
  return penalties;
}

TEST(Dry, IsTheFirstImplementation) {
  std::mt19937 random(5);
  for (int round = 0; round < 4000; ++round) {
    DryParams params{.multiplier = 0.7, .base = 1.1, .allowed_length = static_cast<std::int64_t>(1 + random() % 3)};
    Ids history(random() % 90);
    const std::size_t kinds = 1 + random() % 4;
    for (auto& id : history) id = static_cast<std::int32_t>(random() % kinds);
    if (random() % 2 == 0) params.breakers = {{static_cast<std::int32_t>(random() % 5)}};
    const auto expected = plain(params, history);
    const auto got = lowered(params, history);
    for (std::int32_t id = 0; id < 12; ++id) {
      const auto found = expected.find(id);
      ASSERT_NEAR(got[static_cast<std::size_t>(id)], found == expected.end() ? 0 : found->second, 1e-4) << round;
    }
  }
}

TEST(Dry, PenaltiesStayFinite) {
  const Ids history(200, 7);
  const auto penalties = lowered({.multiplier = 100, .base = 10, .allowed_length = 1}, history);
  EXPECT_FLOAT_EQ(penalties[7], 1e20f);
}

TEST(Dry, RefusesWhatIsOutOfRange) {
  EXPECT_THROW(DryParams{.multiplier = -1}.validate(), base::Error);
  EXPECT_THROW(DryParams{.multiplier = std::nan("")}.validate(), base::Error);
  EXPECT_THROW(DryParams{.base = 0.5}.validate(), base::Error);
  EXPECT_THROW(DryParams{.allowed_length = 0}.validate(), base::Error);
  EXPECT_THROW(DryParams{.range = -1}.validate(), base::Error);
  EXPECT_THROW(DryParams{.breakers = {{}}}.validate(), base::Error);
  EXPECT_THROW((DryParams{.breakers = std::vector<Ids>(300, Ids{1})}.validate()), base::Error);
}

}  // namespace
}  // namespace minke::engine
