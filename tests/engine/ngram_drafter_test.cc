// What is guessed from a history, beside a plain search through all of it.
#include "engine/ngram_drafter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace minke::engine {
namespace {

std::vector<TokenId> guess(NgramDrafter& drafter, DraftState& state, std::span<const TokenId> history,
                           std::size_t most = kMostDraft) {
  DraftJob job;
  job.state = &state;
  job.history = history;
  job.most = most;
  drafter.draft({&job, 1});
  return {job.tokens.begin(), job.tokens.begin() + static_cast<std::ptrdiff_t>(job.count)};
}

TEST(NgramDrafter, ContinuesAsItWentTheLastTime) {
  NgramDrafter drafter;
  const auto state = drafter.open(100);
  EXPECT_EQ(guess(drafter, *state, std::vector<TokenId>{1}), std::vector<TokenId>{});
  EXPECT_EQ(guess(drafter, *state, std::vector<TokenId>{1, 2, 3, 4}), std::vector<TokenId>{});
  EXPECT_EQ(guess(drafter, *state, std::vector<TokenId>{1, 2, 3, 4, 9, 1, 2}, 3), (std::vector<TokenId>{3, 4, 9}));
}

TEST(NgramDrafter, TheLongestAgreementWinsThenTheLatest) {
  NgramDrafter drafter;
  EXPECT_EQ(guess(drafter, *drafter.open(100), std::vector<TokenId>{1, 2, 3, 7, 0, 2, 3, 8, 0, 1, 2, 3}, 1),
            std::vector<TokenId>{7});
  EXPECT_EQ(guess(drafter, *drafter.open(100), std::vector<TokenId>{1, 2, 7, 0, 1, 2, 8, 0, 1, 2}, 1),
            std::vector<TokenId>{8});
}

TEST(NgramDrafter, AShortPeriodGoesOn) {
  NgramDrafter drafter;
  EXPECT_EQ(guess(drafter, *drafter.open(100), std::vector<TokenId>{1, 2, 3, 1, 2, 3, 1, 2}, 7),
            (std::vector<TokenId>{3, 1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(guess(drafter, *drafter.open(100), std::vector<TokenId>{5, 5, 5}, 4), (std::vector<TokenId>{5, 5, 5, 5}));
}

TEST(NgramDrafter, AgreesWithASearchThroughEverything) {
  std::mt19937 random(3);
  std::size_t guesses = 0;
  for (int text = 0; text < 200; ++text) {
    NgramDrafter drafter;
    const auto state = drafter.open(300);
    std::vector<TokenId> history;
    const std::size_t words = 5 + random() % 60;
    while (history.size() < 300) {
      // Now and then something is said again.
      if (history.size() > 40 && random() % 8 == 0) {
        const std::size_t from = random() % (history.size() - 30), count = 1 + random() % 29;
        for (std::size_t i = 0; i < count && history.size() < 300; ++i) history.push_back(history[from + i]);
      }
      history.push_back(static_cast<TokenId>(random() % words));
      if (random() % 3 != 0) continue;
      // The latest of the longest agreements, of 2 to 16 tokens, among the 16 latest places.
      std::size_t best = 0, next = 0, places = 0;
      for (std::size_t end = history.size() - 1; end-- > 1 && places < 16;) {
        std::size_t length = 0;
        while (length <= end && length < 16 && history[end - length] == history[history.size() - 1 - length]) ++length;
        if (length < 2) continue;
        ++places;
        if (length > best) {
          best = length;
          next = end + 1;
        }
      }
      const auto got = guess(drafter, *state, history, 1);
      ASSERT_EQ(got.size(), best == 0 ? 0u : 1u);
      if (best > 0) {
        ASSERT_EQ(got[0], history[next]);
      }
      guesses += got.size();
    }
  }
  EXPECT_GT(guesses, 1000u);
}

TEST(NgramDrafter, AHistoryOfOneWordIsNoMoreWork) {
  NgramDrafter drafter;
  const std::vector<TokenId> history(100'000, 7);
  const auto state = drafter.open(history.size());
  for (std::size_t i = 50'000; i < history.size(); i += 1000)
    EXPECT_EQ(guess(drafter, *state, std::span(history).first(i)).size(), kMostDraft);
}

}  // namespace
}  // namespace minke::engine
