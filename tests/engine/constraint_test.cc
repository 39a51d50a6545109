// Constrained output in the engine, with a grammar that needs no library.
#include "engine/constraint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "engine/mask_worker.h"
#include "engine/token_mask.h"
#include "support/constraints.h"
#include "support/golden.h"
#include "support/replies.h"

namespace minke::engine {
namespace {

TEST(TokenMask, ForbidsAllOthers) {
  std::vector<float> logits(70, 1);
  std::vector<std::uint32_t> allowed = {1u << 3, ~0u, 1u << 1};
  EXPECT_TRUE(allows(allowed, 3));
  EXPECT_FALSE(allows(allowed, 4));
  EXPECT_FALSE(allows(allowed, 96));
  forbid_others(allowed, 5, logits);
  for (std::int32_t i = 0; i < 70; ++i)
    EXPECT_EQ(logits[static_cast<std::size_t>(i)], i == 5 || allows(allowed, i) ? 1 : kForbidden) << i;
  const std::vector<std::uint32_t> one = {1u << 3};
  const std::vector<std::int32_t> stops = {3, 9};
  EXPECT_TRUE(allows_only(one, stops));
  EXPECT_FALSE(allows_only(allowed, stops));
  EXPECT_FALSE(allows_only(std::vector<std::uint32_t>{1u << 4}, stops));
}

class ConstraintTest : public testing::Test {
 protected:
  ConstraintTest()
      : checkpoint_(formats::Checkpoint::open(test::golden("tiny/qwen2"))),
        engine_(*checkpoint_, {.threads = 1, .context = 512, .sequences = 4}) {
    request_.tokens = test::read_ids(test::golden("tiny/qwen2/ids.json"));
    request_.sampling.temperature = 1.2;
    request_.sampling.seed = 5;
    request_.max_tokens = 60;
    request_.stop_tokens = {2};
    request_.constraint = std::make_shared<test::Rising>(20, 2);
  }
  test::Collected::Sample run(const Request& request) { return test::run(engine_, request).samples[0]; }

  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  Engine engine_;
  Request request_;
};

TEST_F(ConstraintTest, OnlyWhatItAllowsIsDrawn) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    request_.sampling.seed = seed;
    const auto got = run(request_);
    EXPECT_TRUE(test::rises(got.tokens, 20));
    EXPECT_EQ(got.end.reason, FinishReason::stop) << "after 20 tokens there is nothing but the end";
    EXPECT_EQ(got.tokens.size(), 20u);
  }
}

TEST_F(ConstraintTest, WhereNothingButTheEndIsAllowedTheReplyEnds) {
  request_.ignore_eos = true;
  request_.min_tokens = 50;
  const auto got = run(request_);
  EXPECT_EQ(got.tokens.size(), 20u);
  EXPECT_EQ(got.end.reason, FinishReason::stop);
}

TEST_F(ConstraintTest, BeginsWhereThinkingEnds) {
  request_.thinking = {.end = 9, .open = true, .max_tokens = 10, .close = {7, 9, 8}};
  const auto got = run(request_);
  ASSERT_EQ(got.tokens.size(), 33u);
  EXPECT_FALSE(test::rises({got.tokens.begin(), got.tokens.begin() + 10}, 20));
  EXPECT_TRUE(test::rises({got.tokens.begin() + 13, got.tokens.end()}, 20));
}

TEST_F(ConstraintTest, TheModelMayOpenItsThinking) {
  request_.sampling.temperature = 0;
  request_.sampling.logit_bias = {{40, 100}};
  request_.thinking = {.begin = 40, .end = 9, .max_tokens = 5, .close = {9}};
  const auto got = run(request_);
  ASSERT_GE(got.tokens.size(), 7u);
  EXPECT_EQ(got.tokens[0], 40);
  EXPECT_EQ(got.tokens[6], 9);
  EXPECT_EQ(got.end.usage.thinking_tokens, 5u);
  EXPECT_TRUE(test::rises({got.tokens.begin() + 7, got.tokens.end()}, 20));
}

TEST_F(ConstraintTest, EachSampleGoesItsOwnWay) {
  request_.samples = 4;
  const auto together = test::run(engine_, request_);
  for (const auto& sample : together.samples) {
    EXPECT_TRUE(test::rises(sample.tokens, 20));
    EXPECT_EQ(sample.tokens.size(), 20u);
  }
  EXPECT_NE(together.samples[0].tokens, together.samples[1].tokens);
  request_.samples = 1;
  EXPECT_EQ(run(request_).tokens, together.samples[0].tokens);
}

TEST_F(ConstraintTest, ItsErrorEndsThatReplyAlone) {
  Request other = request_;
  other.constraint.reset();
  Reply beside = engine_.submit(other);
  request_.constraint = std::make_shared<test::Rising>(20, 2, /*fails_after=*/7);
  const auto got = run(request_);
  ASSERT_TRUE(got.end.error);
  EXPECT_EQ(got.end.error->code(), base::ErrorCode::overloaded);
  EXPECT_EQ(got.tokens.size(), 7u);
  EXPECT_FALSE(test::collect(beside).samples[0].end.error);
}

void wait_for(const std::function<bool()>& condition) {
  for (int i = 0; i < 10000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(condition());
}

TEST_F(ConstraintTest, WhoseMaskIsLateSitsStepsOut) {
  request_.logprobs = 2;
  request_.samples = 2;
  Request other = request_;
  other.constraint.reset();
  other.samples = 1;
  const test::Collected expected = test::run(engine_, request_), alone = test::run(engine_, other);
  const auto same = [](const test::Collected::Sample& got, const test::Collected::Sample& wanted) {
    EXPECT_EQ(got.tokens, wanted.tokens);
    EXPECT_EQ(got.logprobs, wanted.logprobs);
    EXPECT_FALSE(got.end.error);
  };
  // At the first token, with the samples about to part, and in the middle.
  for (const std::size_t late : {std::size_t{0}, std::size_t{9}}) {
    const auto gate = std::make_shared<test::Gate>();
    Request slow = request_;
    slow.constraint = std::make_shared<test::Slow>(std::make_unique<test::Rising>(20, 2), late, gate);
    Reply held = engine_.submit(slow);
    wait_for([&] { return gate->waiting() > 0; });
    same(test::run(engine_, other).samples[0], alone.samples[0]);
    same(test::run(engine_, other).samples[0], alone.samples[0]);
    wait_for([&] { return engine_.health().running == 2; });  // both samples
    gate->open();
    const test::Collected got = test::collect(held, 2);
    for (std::size_t i = 0; i < 2; ++i) same(got.samples[i], expected.samples[i]);
  }
  test::expect_idle(engine_);
}

TEST_F(ConstraintTest, WhoWaitsForAMaskMayBeCancelledOrGiveItsBlocksUp) {
  const auto gate = std::make_shared<test::Gate>();
  request_.constraint = std::make_shared<test::Slow>(std::make_unique<test::Rising>(20, 2), 5, gate);
  Reply cancelled = engine_.submit(request_);
  wait_for([&] { return gate->waiting() > 0; });
  cancelled.cancel();
  const auto end = test::collect(cancelled).samples[0];
  EXPECT_EQ(end.end.reason, FinishReason::cancelled);
  EXPECT_LE(end.tokens.size(), 5u);
  gate->open();
  test::expect_idle(engine_);

  // Room for one context alone: the older reply takes it, whatever the younger waits for. Not when it has ended before
  // the younger waits, which happens on a busy machine.
  const auto expected = run(request_);
  bool gave_up = false;
  for (int tries = 0; tries < 20 && !gave_up; ++tries) {
    Engine small(*checkpoint_, {.threads = 1, .context = 512, .sequences = 2, .cache_tokens = 512});
    const auto second = std::make_shared<test::Gate>();
    Request older = request_;
    older.constraint.reset();
    older.ignore_eos = true;
    older.max_tokens = 350;
    request_.constraint = std::make_shared<test::Slow>(std::make_unique<test::Rising>(20, 2), 5, second);
    Reply first = small.submit(older);
    Reply late = small.submit(request_);
    wait_for([&] { return second->waiting() > 0; });
    EXPECT_EQ(test::collect(first).samples[0].end.reason, FinishReason::length);
    second->open();
    EXPECT_EQ(test::collect(late).samples[0].tokens, expected.tokens);
    gave_up = small.health().preemptions > 0;
    test::expect_idle(small);
  }
  EXPECT_TRUE(gave_up);
}

TEST(MaskWorker, QuickMasksDoNotWaitForSlowOnes) {
  const auto gate = std::make_shared<test::Gate>();
  const auto slow =
      std::make_shared<MaskState>(std::make_shared<test::Slow>(std::make_unique<test::Rising>(20, 2), 0, gate), 64);
  const auto quick = std::make_shared<MaskState>(std::make_shared<test::Rising>(20, 2), 64);
  std::atomic<int> told{0};
  MaskWorker worker([&told] { ++told; });
  const auto soon = [](double seconds) {
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int>(1000 * seconds));
  };
  ASSERT_TRUE(worker.wait(quick, soon(60)));
  quick->accept(0);
  EXPECT_FALSE(worker.wait(slow, soon(0.01)));
  for (std::int32_t i = 1; i < 10; ++i) {
    ASSERT_TRUE(worker.wait(quick, soon(60)));
    EXPECT_TRUE(allows(quick->mask(), 16 + i));
    quick->accept(16 + i);
  }
  EXPECT_FALSE(slow->ready());
  gate->open();
  ASSERT_TRUE(worker.wait(slow, soon(60)));
  EXPECT_TRUE(allows(slow->mask(), 0));
  wait_for([&] { return told.load() == 11; });
}

TEST_F(ConstraintTest, CancelledAndDroppedRepliesLeaveTheirMasksBehind) {
  for (int i = 0; i < 30; ++i) {
    Reply reply = engine_.submit(request_);
    if (i % 3 == 0) (void)reply.wait(std::chrono::milliseconds(2));
    if (i % 2 == 0) reply.cancel();
  }
  EXPECT_EQ(run(request_).tokens.size(), 20u);
}

}  // namespace
}  // namespace minke::engine
