// What a reply's text may not show, what is written for the model: in the engine, on a model that answers greedily.
#include "engine/reply_control.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/golden.h"
#include "support/replies.h"

namespace minke::engine {
namespace {

class ReplyControlTest : public testing::Test {
 protected:
  ReplyControlTest()
      : checkpoint_(formats::Checkpoint::open(test::golden("tiny/qwen2"))),
        engine_(*checkpoint_, {.threads = 1, .context = 512, .sequences = 4, .token_bytes = test::letters(2000)}) {
    request_.tokens = test::read_ids(test::golden("tiny/qwen2/ids.json"));
    request_.sampling.temperature = 0.9;
    request_.sampling.seed = 5;
    request_.max_tokens = 60;
  }
  std::string text(const std::vector<TokenId>& tokens) const {
    std::string all;
    for (const TokenId token : tokens) all += test::letters(2000)->of(token);
    return all;
  }
  test::Collected::Sample run(const Request& request) { return test::run(engine_, request).samples[0]; }

  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  Engine engine_;
  Request request_;
};

TEST_F(ReplyControlTest, NothingOfAStopStringIsReportedWhereverItLies) {
  const auto free = run(request_);
  const std::string whole = text(free.tokens);
  ASSERT_GT(whole.size(), 60u);
  // Each text of the reply in turn: of one letter, within a token, over several tokens.
  for (std::size_t at = 0; at + 8 < whole.size(); at += 3)
    for (const std::size_t size : {1, 2, 5, 8}) {
      Request request = request_;
      request.stop_strings = {"never comes", whole.substr(at, size)};
      const auto got = run(request);
      const std::size_t first = whole.find(request.stop_strings[1]);
      ASSERT_EQ(text(got.tokens) + got.end.tail, whole.substr(0, first)) << whole.substr(at, size);
      ASSERT_EQ(got.end.reason, FinishReason::stop);
      ASSERT_EQ(got.end.stop_string, 1u);
      for (std::size_t i = 0; i < got.tokens.size(); ++i) ASSERT_EQ(got.tokens[i], free.tokens[i]);
    }
}

TEST_F(ReplyControlTest, WhatOnlyBeganIsReportedAtTheEnd) {
  const auto free = run(request_);
  Request request = request_;
  request.stop_strings = {text(free.tokens) + "and more"};
  const auto got = run(request);
  EXPECT_EQ(got.tokens, free.tokens);
  EXPECT_EQ(got.end.reason, FinishReason::length);
  EXPECT_FALSE(got.end.stop_string);
  EXPECT_TRUE(got.end.tail.empty());
}

TEST_F(ReplyControlTest, AStopStringDoesNotCountBeforeTheLeastNumberOfTokens) {
  Request request = request_;
  request.stop_strings = {text(run(request_).tokens).substr(0, 2)};
  EXPECT_TRUE(run(request).tokens.empty());
  request.min_tokens = 20;
  EXPECT_GE(run(request).end.usage.output_tokens, 20u);
}

TEST_F(ReplyControlTest, IgnoringTheEndGoesOn) {
  Request request = request_;
  request.sampling.temperature = 0;
  request.stop_tokens = {run(request).tokens[3]};
  EXPECT_LE(run(request).tokens.size(), 3u);
  request.ignore_eos = true;
  const auto got = run(request);
  EXPECT_EQ(got.tokens.size(), 60u);
  EXPECT_EQ(std::count(got.tokens.begin(), got.tokens.end(), request.stop_tokens[0]), 0);
}

TEST_F(ReplyControlTest, WrittenTokensAreComputedLikeDrawnOnes) {
  Request request = request_;
  request.thinking = {.end = 9, .open = true, .max_tokens = 10, .close = {7, 9, 8}};
  const auto got = run(request);
  ASSERT_EQ(got.tokens.size(), 60u);
  const auto free = run(request_);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(got.tokens[i], free.tokens[i]);
  EXPECT_EQ(got.tokens[10], 7);
  EXPECT_EQ(got.tokens[11], 9);
  EXPECT_EQ(got.tokens[12], 8);
  EXPECT_EQ(got.end.usage.thinking_tokens, 11u);
  // From there on as if they had been in the prompt: the same draws at the same positions.
  Request next = request_;
  next.tokens.insert(next.tokens.end(), got.tokens.begin(), got.tokens.begin() + 13);
  next.max_tokens = 47;
  const auto rest = run(next).tokens;
  EXPECT_EQ(rest, std::vector<TokenId>(got.tokens.begin() + 13, got.tokens.end()));
}

TEST_F(ReplyControlTest, WhatEndsAReplyCountsInTheAnswer) {
  const auto free = run(request_);
  Request request = request_;
  request.stop_strings = {text({free.tokens[0]})};
  request.stop_tokens = {free.tokens[1]};
  request.thinking = {.end = 9, .open = true, .max_tokens = 30, .close = {9}};
  const auto got = run(request);
  // The stop string stands in the thinking, and the stop token closes it.
  ASSERT_GE(got.tokens.size(), 2u);
  EXPECT_EQ(got.tokens[0], free.tokens[0]);
  EXPECT_EQ(got.tokens[1], 9);
  EXPECT_EQ(got.end.usage.thinking_tokens, 1u);
}

TEST_F(ReplyControlTest, SamplesAreControlledEachForItself) {
  Request request = request_;
  request.samples = 3;
  request.stop_strings = {"ab", "ca"};
  request.thinking = {.end = 9, .open = true, .max_tokens = 5, .close = {9}};
  const auto together = test::run(engine_, request);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(together.samples[i].end.usage.thinking_tokens, 5u);
    EXPECT_EQ(together.samples[i].tokens[5], 9);
    EXPECT_EQ(text({together.samples[i].tokens.begin() + 6, together.samples[i].tokens.end()}).find("ab"),
              std::string::npos);
  }
  request.samples = 1;
  EXPECT_EQ(run(request).tokens, together.samples[0].tokens);
}

TEST_F(ReplyControlTest, WithoutTheTokensBytesThereAreNoStopStrings) {
  Engine engine(*checkpoint_, {.threads = 1, .context = 128});
  request_.stop_strings = {"a"};
  EXPECT_THROW((void)engine.submit(request_), base::Error);
}

}  // namespace
}  // namespace minke::engine
