#include "engine/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"

namespace minke::engine {
namespace {

using Strings = std::vector<std::string>;

TEST(StopStrings, TheFirstCompleteOneAndOfSeveralTheLongest) {
  const StopStrings stops(Strings{"cd", "bcd", "x"});
  StopStrings::State state = stops.start();
  EXPECT_FALSE(stops.feed(state, "ab"));
  EXPECT_EQ(StopStrings::open(state), 1u);  // "b"
  EXPECT_FALSE(stops.feed(state, "c"));
  EXPECT_EQ(StopStrings::open(state), 2u);
  const auto found = stops.feed(state, "dx");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->index, 1u);
  EXPECT_EQ(found->size, 3u);
  EXPECT_EQ(found->used, 1u);
}

TEST(StopStrings, HowTheTextIsCutMakesNoDifference) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    const auto word = [&](std::size_t most) {
      std::string text(1 + random() % most, 'a');
      for (char& c : text) c = static_cast<char>('a' + random() % 2);
      return text;
    };
    Strings strings;
    for (std::size_t i = 0, n = 1 + random() % 3; i < n; ++i) strings.push_back(word(6));
    const std::string text = word(40);
    // The plain way: at each end the longest string that ends there.
    std::size_t end = 0, size = 0;
    for (std::size_t at = 1; at <= text.size() && size == 0; ++at)
      for (const std::string& one : strings)
        if (std::string_view(text).substr(0, at).ends_with(one) && one.size() > size) {
          size = one.size();
          end = at;
        }
    const StopStrings stops(strings);
    StopStrings::State state = stops.start();
    std::size_t at = 0;
    std::optional<StopStrings::Found> found;
    while (at < text.size() && !found) {
      const std::string_view piece = std::string_view(text).substr(at, 1 + random() % 4);
      found = stops.feed(state, piece);
      at += found ? found->used : piece.size();
      if (found) break;
      std::size_t open = 0;
      for (const std::string& one : strings)
        for (std::size_t length = 1; length < one.size(); ++length)
          if (std::string_view(text).substr(0, at).ends_with(std::string_view(one).substr(0, length)))
            open = std::max(open, length);
      ASSERT_EQ(StopStrings::open(state), open) << text << " at " << at;
    }
    ASSERT_EQ(found.has_value(), size != 0) << text;
    if (found) {
      ASSERT_EQ(at, end) << text;
      ASSERT_EQ(found->size, size) << text;
    }
  }
}

TEST(StopStrings, GoesOnAfterOneThatDidNotCount) {
  const StopStrings stops(Strings{"aa"});
  StopStrings::State state = stops.start();
  std::size_t found = 0;
  for (int i = 0; i < 5; ++i) found += stops.feed(state, "a") ? 1 : 0;
  EXPECT_EQ(found, 4u);  // overlapping ones, too
}

TEST(StopStrings, RefusesWhatIsOutOfRange) {
  EXPECT_THROW(StopStrings(Strings{""}), base::Error);
  EXPECT_THROW(StopStrings(Strings(kMaxStopStrings + 1, "a")), base::Error);
  EXPECT_THROW(StopStrings(Strings{std::string(kMaxStopStringBytes + 1, 'a')}), base::Error);
}

}  // namespace
}  // namespace minke::engine
