#include "text/vote.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace minke::text {
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

TEST(Vote, RulesByName) {
  EXPECT_EQ(answer("regex:Answer:(.*)", "Answer: yes \nAnswer: no "), "no");
  EXPECT_THROW(AnswerRule::parse("first"), base::Error);
  EXPECT_THROW(AnswerRule::parse("regex:("), base::Error);
}

}  // namespace
}  // namespace minke::text
