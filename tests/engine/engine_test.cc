// Engine: many requests, their events, limits, cancelling, isolation.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <future>
#include <thread>

#include "base/error.h"
#include "support/golden.h"
#include "support/replies.h"

namespace minke::engine {
namespace {

using namespace std::chrono_literals;

/// Holds the compute thread in a request's notify() until opened. To be declared before the engine.
class Gate {
 public:
  std::function<void()> notify() {
    return [this] {
      if (closed_.exchange(false)) {
        reached_.set_value();
        opened_.get_future().wait();
      }
    };
  }
  void wait_until_reached() { reached_.get_future().wait(); }
  void open() { opened_.set_value(); }

 private:
  std::atomic<bool> closed_{true};
  std::promise<void> reached_, opened_;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : checkpoint_(formats::Checkpoint::open(test::golden("tiny/qwen2"))) {
    prompt_ = test::read_ids(test::golden("tiny/qwen2/ids.json"));
    while (prompt_.size() < 200) prompt_.push_back(static_cast<TokenId>(prompt_.size() % 100));
  }
  std::unique_ptr<Engine> make(EngineOptions options = {}) const {
    options.threads = 1;
    if (options.context == 0) options.context = 512;
    return std::make_unique<Engine>(*checkpoint_, options);
  }
  Request request(std::size_t prompt, std::size_t max_tokens) const {
    Request r;
    r.tokens.assign(prompt_.begin(), prompt_.begin() + static_cast<std::ptrdiff_t>(prompt));
    r.sampling.temperature = 0;
    r.max_tokens = max_tokens;
    return r;
  }
  template <typename Change>
  void expect_refused(Engine& engine, base::ErrorCode code, const std::string& part, const Change& change) const {
    Request r = request(10, 3);
    change(r);
    try {
      (void)engine.submit(std::move(r));
      ADD_FAILURE() << part << " was accepted";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), code) << error.message();
      EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
    }
  }

  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  std::vector<TokenId> prompt_;
};

TEST_F(EngineTest, EventsTellTheWholeStory) {
  const auto engine = make({.chunk = 64});
  const test::Collected all = test::run(*engine, request(150, 5));
  ASSERT_TRUE(all.complete);
  ASSERT_FALSE(all.progress.empty());
  EXPECT_EQ(all.progress.back().done, 150u);
  EXPECT_EQ(all.progress.back().total, 150u);
  EXPECT_EQ(all.samples[0].tokens.size(), 5u);
  const Finished& end = all.samples[0].end;
  EXPECT_EQ(end.reason, FinishReason::length);
  EXPECT_EQ(end.usage.prompt_tokens, 150u);
  EXPECT_EQ(end.usage.output_tokens, 5u);
  EXPECT_EQ(end.usage.cached_tokens, 0u);
  EXPECT_GE(end.timings.queue_seconds, 0);
  EXPECT_GT(end.timings.prefill_seconds, 0);
  EXPECT_GT(end.timings.decode_seconds, 0);
  EXPECT_EQ(engine->health().running, 0u);
  EXPECT_GE(engine->health().steps, 7u);  // three chunks, and four steps after the first token
}

TEST_F(EngineTest, HitsAreWholeBlocksAndLeaveTheLastTokenToRun) {
  const auto engine = make();
  const auto cached = [&](std::size_t prompt) {
    return test::run(*engine, request(prompt, 1)).samples[0].end.usage.cached_tokens;
  };
  EXPECT_EQ(cached(128), 0u);
  EXPECT_EQ(cached(128), 64u) << "at most 64 * floor((n - 1) / 64)";
  EXPECT_EQ(cached(129), 128u);
  EXPECT_EQ(cached(100), 64u);
  EXPECT_EQ(cached(63), 0u);
}

TEST_F(EngineTest, AReplyIsReusedAsPartOfTheNextPrompt) {
  const auto engine = make();
  Request first = request(100, 60);
  const auto reply = test::run(*engine, first).samples[0].tokens;
  Request next = first;
  next.tokens.insert(next.tokens.end(), reply.begin(), reply.end());
  next.tokens.push_back(7);
  EXPECT_EQ(test::run(*engine, next).samples[0].end.usage.cached_tokens, 128u);
}

TEST_F(EngineTest, AnotherSaltNeverHits) {
  const auto engine = make();
  const auto cached = [&](const std::string& salt, std::size_t shared) {
    Request r = request(200, 1);
    r.salt = salt;
    r.shared_prefix = shared;
    return test::run(*engine, r).samples[0].end.usage.cached_tokens;
  };
  EXPECT_EQ(cached("a", 0), 0u);
  EXPECT_EQ(cached("a", 0), 192u);
  EXPECT_EQ(cached("b", 0), 0u);
  EXPECT_EQ(cached("", 0), 0u);
  // What is marked as shared is a realm of its own, too.
  EXPECT_EQ(cached("a", 130), 0u);
  EXPECT_EQ(cached("b", 130), 128u);
  EXPECT_EQ(cached("c", 64), 64u);
}

TEST_F(EngineTest, SamplesShareTheirPromptAndDiffer) {
  const auto engine = make({.sequences = 8});
  Request r = request(150, 20);
  r.sampling = {.temperature = 1.5, .seed = 4};
  r.samples = 4;
  const test::Collected all = test::run(*engine, r);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(all.samples[i].end.usage.output_tokens, 20u);
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(all.samples[i].tokens, all.samples[j].tokens);
  }
  // Sample 0 is what one alone gives.
  r.samples = 1;
  EXPECT_EQ(test::run(*engine, r).samples[0].tokens, all.samples[0].tokens);
  EXPECT_EQ(engine->health().free_blocks, engine->health().cache_blocks);
}

TEST_F(EngineTest, NoStopTokenBeforeTheLeastNumberOfTokens) {
  const auto engine = make();
  Request r = request(20, 30);
  // Greedy's first token would end it at once.
  r.stop_tokens = {test::run(*engine, request(20, 1)).samples[0].tokens[0]};
  EXPECT_TRUE(test::run(*engine, r).samples[0].tokens.empty());
  r.min_tokens = 10;
  const test::Collected all = test::run(*engine, r);
  EXPECT_GE(all.samples[0].tokens.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_NE(all.samples[0].tokens[i], r.stop_tokens[0]);
}

TEST_F(EngineTest, LogprobsAreOfTheModelsOwnDistribution) {
  const auto engine = make();
  Request r = request(20, 3);
  r.logprobs = 20;
  r.prompt_logprobs = true;
  const test::Collected all = test::run(*engine, r);
  std::vector<TokenId> ids = r.tokens;
  ids.insert(ids.end(), all.samples[0].tokens.begin(), all.samples[0].tokens.end());
  std::vector<float> expected;
  engine->logits(ids, 0, [&](std::size_t row, std::span<const float> logits) {
    if (row + 1 == ids.size()) return false;
    double sum = 0;
    for (const float x : logits) sum += std::exp(static_cast<double>(x));
    expected.push_back(static_cast<float>(logits[static_cast<std::size_t>(ids[row + 1])] - std::log(sum)));
    return true;
  });
  ASSERT_EQ(all.prompt_logprobs.size(), 19u);
  for (std::size_t i = 0; i < 19; ++i) EXPECT_NEAR(all.prompt_logprobs[i], expected[i], 1e-4);
  ASSERT_EQ(all.samples[0].logprobs.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(all.samples[0].logprobs[i], expected[19 + i], 1e-4);
    // Greedy: the drawn token is the first of the most likely ones, which fall.
    EXPECT_EQ(all.samples[0].top[20 * i].token, all.samples[0].tokens[i]);
    EXPECT_EQ(all.samples[0].top[20 * i].logprob, all.samples[0].logprobs[i]);
    for (std::size_t k = 1; k < 20; ++k)
      EXPECT_LE(all.samples[0].top[20 * i + k].logprob, all.samples[0].top[20 * i + k - 1].logprob);
  }
}

TEST_F(EngineTest, PooledHiddenStates) {
  const auto engine = make();
  const auto pooled = [&](std::size_t prompt, Pooling pooling) {
    Request r = request(prompt, 0);
    r.pooling = pooling;
    const test::Collected all = test::run(*engine, r);
    EXPECT_EQ(all.samples[0].end.reason, FinishReason::stop);
    EXPECT_TRUE(all.samples[0].tokens.empty());
    EXPECT_EQ(all.hidden.size(), static_cast<std::size_t>(engine->config().hidden_size));
    return all.hidden;
  };
  // The mean over three positions is the mean of what each prefix ends with.
  const auto one = pooled(1, Pooling::last), two = pooled(2, Pooling::last), three = pooled(3, Pooling::last);
  const auto mean = pooled(3, Pooling::mean);
  for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(mean[i], (one[i] + two[i] + three[i]) / 3, 1e-5);
  EXPECT_EQ(pooled(1, Pooling::mean), one);
  EXPECT_NE(one, two);
}

TEST_F(EngineTest, RequestsOutOfRangeAreNamed) {
  const auto engine = make({.sequences = 4});
  using base::ErrorCode;
  expect_refused(*engine, ErrorCode::invalid_argument, "token 0", [](Request& r) { r.tokens = {-1}; });
  expect_refused(*engine, ErrorCode::invalid_argument, "samples", [](Request& r) { r.samples = 5; });
  expect_refused(*engine, ErrorCode::invalid_argument, "samples", [](Request& r) { r.samples = 0; });
  expect_refused(*engine, ErrorCode::invalid_argument, "logprobs", [](Request& r) { r.logprobs = 21; });
  expect_refused(*engine, ErrorCode::invalid_argument, "top_p", [](Request& r) { r.sampling.top_p = 2; });
  expect_refused(*engine, ErrorCode::context_overflow, "513", [](Request& r) { r.tokens.resize(513); });
  expect_refused(*engine, ErrorCode::invalid_argument, "pooling", [](Request& r) {
    r.pooling = Pooling::mean;
    r.samples = 2;
  });
}

TEST_F(EngineTest, TheQueueIsBoundedAndTellsPlaces) {
  Gate gate;
  const auto engine = make({.sequences = 1, .queue = 3});
  Reply first = engine->submit(request(10, 400), gate.notify());
  gate.wait_until_reached();
  std::vector<Reply> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(engine->submit(request(10, 2)));
  expect_refused(*engine, base::ErrorCode::overloaded, "3 requests wait", [](Request&) {});
  gate.open();
  test::Collected places;
  places.samples.resize(1);
  while (places.places.empty()) test::take(places, waiting[2].wait(10s).value());
  EXPECT_EQ(places.places[0].position, 3u);
  EXPECT_GT(places.places[0].estimated_wait, 0);
  first.cancel();
  for (Reply& reply : waiting) EXPECT_TRUE(test::collect(reply).complete);
  EXPECT_EQ(test::collect(first).samples[0].end.reason, FinishReason::cancelled);
  EXPECT_EQ(engine->health().waiting, 0u);
}

TEST_F(EngineTest, CancelsWhileWaitingWhilePrefillingAndWhileDecoding) {
  Gate gate;
  const auto engine = make({.chunk = 4, .sequences = 1});
  Reply prefilling = engine->submit(request(100, 10), gate.notify());
  gate.wait_until_reached();  // after its admission, or its first four tokens
  Reply waiting = engine->submit(request(20, 10));
  waiting.cancel();
  prefilling.cancel();
  gate.open();
  for (Reply* reply : {&prefilling, &waiting}) {
    const test::Collected all = test::collect(*reply);
    EXPECT_EQ(all.samples[0].end.reason, FinishReason::cancelled);
    EXPECT_TRUE(all.samples[0].tokens.empty());
  }
  Reply decoding = engine->submit(request(10, 0));
  std::size_t tokens = 0;
  test::Collected all;
  all.samples.resize(1);
  while (all.samples[0].tokens.size() < 3) test::take(all, decoding.wait(10s).value());
  decoding.cancel();
  tokens = test::collect(decoding).samples[0].tokens.size();
  EXPECT_LT(tokens, 400u);
  EXPECT_EQ(engine->health().free_blocks, engine->health().cache_blocks);
}

TEST_F(EngineTest, ADroppedReplyIsCancelled) {
  const auto engine = make({.sequences = 1});
  { const Reply dropped = engine->submit(request(10, 0)); }
  EXPECT_EQ(test::run(*engine, request(10, 1)).samples[0].tokens.size(), 1u);
}

TEST_F(EngineTest, RepliesOutliveTheEngine) {
  auto engine = make({.sequences = 1});
  Reply running = engine->submit(request(10, 0)), waiting = engine->submit(request(10, 0));
  engine.reset();
  EXPECT_EQ(test::collect(running).samples[0].end.reason, FinishReason::cancelled);
  EXPECT_EQ(test::collect(waiting).samples[0].end.reason, FinishReason::cancelled);
  running.cancel();
}

TEST_F(EngineTest, WithTooLittleCacheRepliesWaitAndGiveWayButAllComplete) {
  // Room for one context, and eight that would each need most of it.
  const auto engine = make({.context = 256, .sequences = 8, .cache_tokens = 256});
  std::vector<Reply> replies;
  std::vector<test::Collected> expected;
  for (std::size_t i = 0; i < 8; ++i) {
    Request r = request(20 + 10 * i, 150);
    r.salt = std::to_string(i);
    replies.push_back(engine->submit(r));
  }
  for (Reply& reply : replies) EXPECT_EQ(test::collect(reply).samples[0].end.usage.output_tokens, 150u);
  EXPECT_GT(engine->health().preemptions, 0u);
  EXPECT_EQ(engine->health().free_blocks, 4u);
}

TEST_F(EngineTest, BackloggedIdentitiesGetTheSameNumberOfTokens) {
  const auto engine = make({.sequences = 4, .queue = 1000});
  // Identity i asks for replies of 8 << i tokens, and has so many there that they do not run out.
  constexpr std::size_t kIdentities = 4;
  struct Who {
    std::vector<Reply> replies;
    double served = 0;
    std::uint64_t next = 0;
  };
  Who who[kIdentities];
  const auto ask = [&](std::size_t i) {
    Request r = request(5, std::size_t{8} << i);
    r.identity = std::to_string(i);
    r.salt = std::to_string(i * 1000 + who[i].next++);
    who[i].replies.push_back(engine->submit(r));
  };
  for (std::size_t i = 0; i < kIdentities; ++i)
    for (int k = 0; k < 240 >> i; ++k) ask(i);
  double total = 0;
  while (total < 12000) {
    for (std::size_t i = 0; i < kIdentities; ++i)
      for (std::size_t k = 0; k < who[i].replies.size();) {
        while (const auto event = who[i].replies[k].poll())
          if (std::holds_alternative<TokenDrawn>(*event)) {
            who[i].served += 1;
            total += 1;
          }
        if (who[i].replies[k].finished()) {
          who[i].served += 5;
          who[i].replies.erase(who[i].replies.begin() + static_cast<std::ptrdiff_t>(k));
          ask(i);
        } else {
          ++k;
        }
      }
    std::this_thread::yield();
  }
  double sum = 0, squares = 0;
  for (const Who& w : who) {
    sum += w.served;
    squares += w.served * w.served;
  }
  EXPECT_GE(sum * sum / (kIdentities * squares), 0.95)
      << who[0].served << " " << who[1].served << " " << who[2].served << " " << who[3].served;
}

TEST_F(EngineTest, ManyThreadsMaySubmitCancelAndAsk) {
  const auto engine = make({.sequences = 6, .queue = 1000});
  std::vector<std::thread> threads;
  std::atomic<int> complete{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        Request r = request(1 + static_cast<std::size_t>((i * 7 + t) % 90), 1 + static_cast<std::size_t>(i % 9));
        r.identity = std::to_string(t);
        Reply reply = engine->submit(r);
        if (i % 5 == 0) reply.cancel();
        complete += test::collect(reply).complete ? 1 : 0;
        (void)engine->health();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(complete.load(), 120);
  EXPECT_EQ(engine->health().free_blocks, engine->health().cache_blocks);
}

TEST_F(EngineTest, AStepThatDoesNotEndIsNoticed) {
  std::promise<double> noticed;
  EngineOptions options;
  options.stuck_seconds = 0.05;
  options.on_stuck = [&](double seconds) { noticed.set_value(seconds); };
  Gate gate;
  const auto engine = make(options);
  Reply reply = engine->submit(request(10, 1), gate.notify());
  gate.wait_until_reached();
  EXPECT_GE(noticed.get_future().get(), 0.05);
  EXPECT_TRUE(engine->health().stuck);
  gate.open();
  EXPECT_TRUE(test::collect(reply).complete);
  // The reply ends inside its step: the step itself is over a moment later.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  EngineHealth health = engine->health();
  while (health.step_running > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
    health = engine->health();
  }
  EXPECT_EQ(health.step_running, 0);
  EXPECT_FALSE(health.stuck);
}

TEST_F(EngineTest, ScoringAndMeasuringGoBetweenSteps) {
  const auto engine = make();
  Reply reply = engine->submit(request(10, 100));
  std::size_t rows = 0;
  engine->logits(prompt_, 0, [&](std::size_t, std::span<const float>) {
    ++rows;
    return true;
  });
  EXPECT_EQ(rows, prompt_.size());
  EXPECT_TRUE(engine->feed(prompt_, 0, 3, {}));
  EXPECT_EQ(test::collect(reply).samples[0].tokens.size(), 100u);
  EXPECT_THROW(engine->logits(prompt_, 0, [](std::size_t, std::span<const float>) -> bool { throw 1; }), int);
  EXPECT_EQ(test::run(*engine, request(10, 2)).samples[0].tokens.size(), 2u);
}

}  // namespace
}  // namespace minke::engine
