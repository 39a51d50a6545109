#include "api/stop_matcher.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace minke::api {
namespace {

struct Found {
  std::string text;
  bool stopped = false;
  bool operator==(const Found&) const = default;
};

Found run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Found found;
  for (const std::string& piece : pieces) found.text += matcher.push(piece);
  found.text += matcher.finish();
  found.stopped = matcher.found();
  return found;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> pieces;
  for (const char c : text) pieces.emplace_back(1, c);
  return pieces;
}

/// The definition, by trying every end.
Found by_definition(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopMatcher, EndsBeforeTheFirstCompleteSequence) {
  EXPECT_EQ(run({"END"}, {"one END two"}), (Found{"one ", true}));
  EXPECT_EQ(run({"END"}, {"one E", "N", "D two"}), (Found{"one ", true}));
  EXPECT_EQ(run({"END"}, {"one EN"}), (Found{"one EN", false}));
  EXPECT_EQ(run({"\n\n", "User:"}, {"a\nUser: b"}), (Found{"a\n", true}));
  EXPECT_EQ(run({}, {"as", " it is"}), (Found{"as it is", false}));
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStopSequence) {
  const std::vector<std::string> stops = {"aab"};
  StopMatcher matcher(stops);
  EXPECT_EQ(matcher.push("xa"), "x");
  EXPECT_EQ(matcher.push("a"), "");
  EXPECT_EQ(matcher.push("a"), "a");
  EXPECT_EQ(matcher.push("c"), "aac");
  EXPECT_EQ(matcher.push("aab and more"), "");
  EXPECT_TRUE(matcher.found());
  EXPECT_EQ(matcher.stop(), "aab");
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, OverlappingSequencesGiveTheDefinitionsResultForAnyCut) {
  std::uint64_t n = 0;
  const auto draw = [&n](std::size_t most) {
    return static_cast<std::size_t>(base::uniform(11, 0, n++) * static_cast<double>(most));
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(1 + draw(3));
    for (std::string& stop : stops) {
      stop.resize(1 + draw(4));
      for (char& c : stop) c = static_cast<char>('a' + draw(2));
    }
    std::string text(draw(24), 'c');
    for (char& c : text) c = static_cast<char>('a' + draw(3));
    const Found expected = by_definition(stops, text);
    EXPECT_EQ(run(stops, {text}), expected) << text;
    EXPECT_EQ(run(stops, bytes_of(text)), expected) << text;
  }
}

}  // namespace
}  // namespace minke::api
