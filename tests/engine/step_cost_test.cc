#include "engine/step_cost.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/share_rows.h"

namespace minke::engine {
namespace {

TEST(StepCost, PromptsAloneTakeWholeSteps) {
  const StepCost cost({.most_rows = 512}, 8);
  EXPECT_EQ(cost.prefill_rows(0, 1), 512u);
}

TEST(StepCost, TheFirstStepsOfDecodingTellWhatItTakes) {
  StepCost cost({.most_rows = 512}, 8);
  EXPECT_EQ(cost.prefill_rows(4, 1), 0u);
  cost.learn(4, 0, 0.1);
  EXPECT_EQ(cost.prefill_rows(4, 1), StepCost::kLeastRows);
}

TEST(StepCost, BesideDecodingStepsStayUnderTwiceTheirTime) {
  StepCost cost({.most_rows = 512}, 8);
  cost.learn(8, 0, 0.1);
  for (int i = 0; i < 50; ++i) {
    const std::size_t rows = cost.prefill_rows(8, 1);
    const double seconds = 0.1 + 0.002 * static_cast<double>(rows);
    if (i > 20) {
      EXPECT_LE(seconds, 0.2);
      EXPECT_GE(seconds, 0.15);
    }
    cost.learn(8, rows, seconds);
  }
  // More who wait than who read: longer steps, in proportion.
  EXPECT_GE(cost.prefill_rows(2, 8), 3 * cost.prefill_rows(8, 8));
}

TEST(StepCost, BesideDecodingStepsAreWholeRuns) {
  StepCost cost({.most_rows = 4096}, 16);
  cost.learn(8, 0, 0.1);
  cost.learn(0, 100, 10);
  EXPECT_EQ(cost.prefill_rows(1, 1), 7u);
  EXPECT_EQ(cost.prefill_rows(5, 1), 11u);
  EXPECT_EQ(cost.prefill_rows(8, 1), 8u);
  EXPECT_EQ(cost.prefill_rows(16, 1), 8u);
  EXPECT_EQ(cost.prefill_rows(1, 2), 15u);
  EXPECT_EQ(cost.prefill_rows(8, 9), 8u);
  for (int i = 0; i < 50; ++i) cost.learn(0, 100, 0.2);
  for (std::size_t decoding = 1; decoding <= 16; ++decoding) {
    EXPECT_EQ((decoding + cost.prefill_rows(decoding, 1)) % StepCost::kHalfRun, 0u) << decoding;
    EXPECT_EQ((decoding + cost.prefill_rows(decoding, 20)) % StepCost::kRun, 0u) << decoding;
  }
}

TEST(StepCost, ATargetIsKept) {
  StepCost cost({.most_rows = 512, .target = 0.3}, 8);
  cost.learn(8, 0, 0.1);
  cost.learn(0, 100, 0.2);
  EXPECT_NEAR(static_cast<double>(cost.prefill_rows(8, 1)), 100, StepCost::kHalfRun / 2);
  EXPECT_EQ(StepCost({.most_rows = 4, .target = 0.3}, 8).prefill_rows(0, 1), 4u);
}

std::vector<std::size_t> shared(const std::vector<std::size_t>& pending, std::size_t budget) {
  std::vector<std::size_t> rows(pending.size());
  share_rows(pending, budget, rows);
  return rows;
}

TEST(ShareRows, HalfToTheOldestTheRestToTheShortest) {
  using Rows = std::vector<std::size_t>;
  EXPECT_EQ(shared({4096}, 512), (Rows{512}));
  EXPECT_EQ(shared({4096, 100, 50}, 512), (Rows{362, 100, 50}));
  EXPECT_EQ(shared({4096, 1000, 50}, 512), (Rows{256, 206, 50}));
  EXPECT_EQ(shared({256, 256, 256}, 512), (Rows{256, 256, 0}));
  EXPECT_EQ(shared({0, 10, 0, 5}, 512), (Rows{0, 10, 0, 5}));
  EXPECT_EQ(shared({10, 10}, 1), (Rows{1, 0}));
  EXPECT_EQ(shared({}, 512), Rows{});
}

TEST(ShareRows, TheBudgetIsUsedUpAndNotExceeded) {
  for (std::size_t budget = 0; budget < 40; ++budget) {
    const std::vector<std::size_t> pending = {7, 0, 3, 12, 1};
    const auto rows = shared(pending, budget);
    EXPECT_EQ(std::accumulate(rows.begin(), rows.end(), std::size_t{0}), std::min<std::size_t>(budget, 23));
    for (std::size_t i = 0; i < pending.size(); ++i) EXPECT_LE(rows[i], pending[i]);
    EXPECT_EQ(rows[0] > 0, budget > 0);
  }
}

}  // namespace
}  // namespace minke::engine
