#include "cli/vote.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.h"

namespace minke::cli {
namespace {

std::string answer(std::string_view rule, std::string_view content) {
  return AnswerRule::parse(rule).extract(content).value_or("none");
}

TEST(Vote, TheLastNumber) {
  EXPECT_EQ(answer("last-number", "First 3, then 4: so 12."), "12");
  EXPECT_EQ(answer("last-number", "It costs $1,234.50 in all"), "1234.5");
  EXPECT_EQ(answer("last-number", "1,2,3"), "3");
  EXPECT_EQ(answer("last-number", "12,345,678 people"), "12345678");
  EXPECT_EQ(answer("last-number", "x = -7"), "-7");
  EXPECT_EQ(answer("last-number", "5-3"), "3") << "a minus between numbers is no sign";
  EXPECT_EQ(answer("last-number", "COVID-19"), "19");
  EXPECT_EQ(answer("last-number", "+007.00"), "7");
  EXPECT_EQ(answer("last-number", "-0"), "0");
  EXPECT_EQ(answer("last-number", ".5"), "0.5");
  EXPECT_EQ(answer("last-number", "no digits, none"), "none");
}

TEST(Vote, TheLastBox) {
  EXPECT_EQ(answer("boxed", "so \\boxed{1} or rather \\boxed{ \\frac{1}{2} }."), "\\frac{1}{2}");
  EXPECT_EQ(answer("boxed", "\\boxed{4} and \\boxed{5"), "4") << "one that is not closed is none";
  EXPECT_EQ(answer("boxed", "\\boxed{"), "none");
  EXPECT_EQ(answer("boxed", "no box"), "none");
}

TEST(Vote, TheMostFrequentAnswerAndOfEqualsTheFirst) {
  const std::vector<std::string> replies = {"I think 3", "it is 4.0", "no idea", "4", "3, no, 5"};
  const Vote result = vote(replies, AnswerRule::parse("last-number"));
  EXPECT_EQ(result.answer, "4");
  EXPECT_EQ(result.votes, 2u);
  EXPECT_EQ(result.winner, 1u);
  EXPECT_EQ(result.answers[2], std::nullopt);
  const Vote tie = vote(std::vector<std::string>{"7", "8"}, AnswerRule::parse("last-number"));
  EXPECT_EQ(tie.answer, "7");
  const Vote none = vote(std::vector<std::string>{"a", "b"}, AnswerRule::parse("last-number"));
  EXPECT_EQ(none.answer, std::nullopt);
  EXPECT_EQ(none.votes, 0u);
}

TEST(Vote, TheLastMatchOfAPattern) {
  EXPECT_EQ(answer("regex:b+", "abbbcbb"), "bb");
  EXPECT_EQ(answer("regex:answer: (\\w+)", "answer: one answer: two."), "two");
  EXPECT_EQ(answer("regex:(?:a|ab)(c|bcd)", "abcd"), "bcd") << "the first choice that works";
  EXPECT_EQ(answer("regex:a(x)?", "ax a"), "a") << "a group that took no part";
  EXPECT_EQ(answer("regex:^a{3}$", "aaaa"), "none");
  EXPECT_EQ(answer("regex:a{1,2}", "aaa"), "a") << "what overlaps the one before is none";
  EXPECT_EQ(answer("regex:[\\d,]+", "1,234"), "1,234");
  EXPECT_EQ(answer("regex:\\pL+", "un café, deux"), "deux");
  EXPECT_EQ(answer("regex:caf.", "café"), "café");
  EXPECT_EQ(answer("regex:x*$", "aé"), "");
  EXPECT_EQ(answer("regex:first", "first" + std::string(AnswerRule::kMaxSearched, 'x')), "none");
  EXPECT_EQ(answer("regex:.", std::string(AnswerRule::kMaxSearched / 2 + 7, 'x') + "é"), "é");
}

TEST(Vote, HostilePatternsAndRepliesAreBounded) {
  const auto refused = [](const std::string& pattern) {
    try {
      (void)AnswerRule::parse("regex:" + pattern);
    } catch (const base::Error& error) {
      return error.code() == base::ErrorCode::invalid_argument;
    }
    return false;
  };
  for (const char* pattern :
       {"", "(", ")", "[", "*", "a{2,1}", "\\", "(?=a)", "[z-a]", "(((a{1000}){1000}){1000})", "\xff"})
    EXPECT_TRUE(refused(pattern)) << pattern;
  EXPECT_TRUE(refused(std::string(AnswerRule::kMaxPattern + 1, 'a')));
  const auto start = std::chrono::steady_clock::now();
  const std::string text(200000, 'a');
  for (const char* pattern : {"(a*)*b", "(?:a*b|a)", "a{0,1000}?b|a", "(?:[ab]*a[ab]{200}c|a)"}) {
    try {
      (void)answer(std::string("regex:") + pattern, text);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::overloaded);
    }
  }
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 60);
}

TEST(Vote, AnyBytesGiveARuleOrAnError) {
  std::mt19937 random(9);
  static constexpr std::string_view kBytes = "ab()[]{}*+?|\\^$.-0123,\xc3\xa9";
  for (int round = 0; round < 2000; ++round) {
    std::string pattern(1 + random() % 12, 'a');
    for (char& c : pattern) c = kBytes[random() % kBytes.size()];
    try {
      (void)answer("regex:" + pattern, "aababb01(]\xc3\xa9\xc3");
    } catch (const base::Error&) {
    }
  }
}

TEST(Vote, RulesByName) {
  EXPECT_EQ(answer("regex:Answer:(.*)", "Answer: yes \nAnswer: no "), "no");
  EXPECT_THROW(AnswerRule::parse("first"), base::Error);
  EXPECT_THROW(AnswerRule::parse("regex:("), base::Error);
}

}  // namespace
}  // namespace minke::cli
