#include "text/pattern.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <regex>

#include "base/error.h"

namespace minke::text {
namespace {

std::string last(std::string_view pattern, std::string_view text) {
  const auto match = Pattern(pattern).find_last(text);
  if (!match) return "none";
  return std::string(match->group.value_or(text.substr(match->begin, match->end - match->begin)));
}

TEST(Pattern, FindsWhatPerlWouldFind) {
  EXPECT_EQ(last("b+", "abbbcbb"), "bb");
  EXPECT_EQ(last("b+?", "abbbc"), "b");
  EXPECT_EQ(last("answer: (\\w+)", "answer: one answer: two."), "two");
  EXPECT_EQ(last("(?:a|ab)(c|bcd)", "abcd"), "bcd") << "the first choice that works";
}

TEST(Pattern, ClassesRangesAndEscapes) {
  EXPECT_EQ(last("[a-c]+", "zabcz"), "abc");
  EXPECT_EQ(last("[^a-c]+", "abzyc"), "zy");
  EXPECT_EQ(last("[]x]+", "a]x]"), "]x]");
  EXPECT_EQ(last("[a-]+", "b-a-"), "-a-");
  EXPECT_EQ(last("\\d+\\.\\d*", "3.14 2."), "2.");
  EXPECT_EQ(last("[\\d,]+", "1,234"), "1,234");
  EXPECT_EQ(last("\\S+", "a  bc"), "bc");
  EXPECT_EQ(last("fé", "café"), "fé");
  EXPECT_EQ(last(".+", "a\nbc"), "bc");
}

TEST(Pattern, RepetitionsAndEnds) {
  EXPECT_EQ(last("^a{3}$", "aaa"), "aaa");
  EXPECT_EQ(last("^a{3}$", "aaaa"), "none");
  EXPECT_EQ(last("a{2,}", "aaaaa"), "aaaaa");
  EXPECT_EQ(last("a{1,2}", "aaa"), "a");
  EXPECT_EQ(last("x*$", "ab"), "");
  EXPECT_EQ(last("(a*)*b", "aaab"), "aaa");
}

TEST(Pattern, AgreesWithTheStandardLibrarysOnRandomPatterns) {
  std::mt19937 random(3);
  std::size_t compared = 0;
  for (int round = 0; round < 3000; ++round) {
    static constexpr const char* kParts[] = {"a",  "b",  "c",        ".",         "[ab]",   "a?",
                                             "b*", "c+", "(?:ab|c)", "(?:a|b)*?", "a{1,2}", "|"};
    std::string pattern;
    for (std::size_t i = 0, n = 1 + random() % 5; i < n; ++i) pattern += kParts[random() % 12];
    std::string text(random() % 12, 'a');
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    std::smatch found;
    const bool is = std::regex_search(text, found, std::regex("^(?:" + pattern + ")"));
    const auto got = Pattern("^(?:" + pattern + ")").find_last(text);
    ASSERT_EQ(got.has_value(), is) << pattern << " in " << text;
    if (is) {
      ASSERT_EQ(got->end, static_cast<std::size_t>(found.length(0))) << pattern << " in " << text;
      ++compared;
    }
  }
  EXPECT_GT(compared, 1000u);
}

TEST(Pattern, HostilePatternsAndTextsAreBounded) {
  const auto refused = [](std::string_view pattern) {
    try {
      const Pattern one(pattern);
    } catch (const base::Error& error) {
      return error.code() == base::ErrorCode::invalid_argument;
    }
    return false;
  };
  for (const char* pattern : {"", "(", ")", "a)", "[", "[a", "*", "a{", "a{x}", "a{2,1}", "a{9999}", "\\", "\\q",
                              "(?=a)", "(?<n>a)", "[z-a]", "[é]", "(((a{1000}){1000}){1000})"})
    EXPECT_TRUE(refused(pattern)) << pattern;
  EXPECT_TRUE(refused(std::string(2000, 'a')));
  EXPECT_TRUE(refused(std::string(500, '(') + std::string(500, ')')));
  const auto start = std::chrono::steady_clock::now();
  const std::string text(200000, 'a');
  // Exponential where a search tries one way after the other.
  EXPECT_FALSE(Pattern("(a*)*b").find_last(text.substr(0, 20000)));
  // Quadratic here: given up.
  EXPECT_THROW((void)Pattern("a{0,1000}?b|a").find_last(text), base::Error);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 60);
}

TEST(Pattern, AnyBytesGiveAPatternOrAnError) {
  std::mt19937 random(9);
  static constexpr std::string_view kBytes = "ab()[]{}*+?|\\^$.-0123,\xc3\xa9";
  for (int round = 0; round < 20000; ++round) {
    std::string pattern(1 + random() % 12, 'a');
    for (char& c : pattern) c = kBytes[random() % kBytes.size()];
    try {
      (void)Pattern(pattern).find_last("aababb01(]");
    } catch (const base::Error&) {
    }
  }
}

}  // namespace
}  // namespace minke::text
