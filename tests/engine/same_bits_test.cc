// A request's tokens and log-probabilities are the same bits whatever runs beside it: thousands of random schedules, on
// engines that differ in threads, in the rows of a step, in how much cache they have, in memory and on disk, and in
// whether they guess. Some find on disk what an engine before them left there. Some replies obey a grammar, a real one
// where the build has the library; of some of these masks come late.
#include <gtest/gtest.h>

#include <random>

#include "models/config.h"
#include "support/constraints.h"
#include "support/golden.h"
#include "support/grammars.h"
#include "support/replies.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MINKE_SLOW_BUILD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(MINKE_SLOW_BUILD) || !defined(__x86_64__)
constexpr int kSchedules = 40;  // per engine, of which there are six
#else
constexpr int kSchedules = 200;
#endif
constexpr std::size_t kRequests = 48;
constexpr std::size_t kContext = 256;

using Grammars = std::vector<std::shared_ptr<const TokenConstraint>>;

/// Requests of one vocabulary: prompts that share beginnings, greedy and sampled.
std::vector<Request> random_requests(std::mt19937& random, std::size_t vocab, const Grammars& grammars) {
  const auto draw = [&](std::size_t below) { return random() % below; };
  std::vector<std::vector<TokenId>> stems(4);
  for (auto& stem : stems)
    for (int i = 0; i < 200; ++i) stem.push_back(static_cast<TokenId>(draw(vocab)));
  // One that says the same again and again: what is guessed then is mostly wrong here, for the model is random.
  for (std::size_t i = 11; i < stems[3].size(); ++i) stems[3][i] = stems[3][i - 11];
  std::vector<Request> requests(kRequests);
  for (Request& request : requests) {
    const auto& stem = stems[draw(stems.size())];
    request.tokens.assign(stem.begin(), stem.begin() + static_cast<std::ptrdiff_t>(draw(180)));
    for (std::size_t i = 0, own = 1 + draw(20); i < own; ++i)
      request.tokens.push_back(static_cast<TokenId>(draw(vocab)));
    request.max_tokens = draw(4) == 0 ? 20 + draw(40) : 1 + draw(12);
    request.logprobs = 2;
    request.samples = draw(6) == 0 ? 1 + draw(3) : 1;
    request.sampling.seed = random();
    switch (draw(4)) {
      case 0:
        request.sampling.temperature = 0;
        break;
      case 1:
        request.sampling.temperature = 1.3;
        break;
      case 2:
        request.sampling = {.temperature = 0.9, .top_k = 30, .top_p = 0.9, .seed = request.sampling.seed};
        break;
      default:
        request.sampling = {.temperature = 1,
                            .min_p = 0.02,
                            .repeat_penalty = 1.2,
                            .seed = request.sampling.seed,
                            .presence_penalty = 0.3,
                            .frequency_penalty = 0.2};
    }
    if (draw(8) == 0) request.stop_tokens = {static_cast<TokenId>(draw(vocab)), static_cast<TokenId>(draw(vocab))};
    if (draw(6) == 0) request.stop_strings = {"ab", "cd\n", "efgh"};
    if (draw(5) == 0)
      request.thinking = {.begin = static_cast<TokenId>(draw(vocab)),
                          .end = 7,
                          .open = draw(3) != 0,
                          .max_tokens = 2 + draw(8),
                          .close = {5, 7, 6},
                          .min_tokens = draw(3),
                          .wait = {3, 4},
                          .most_waits = draw(3)};
    if (draw(6) == 0) request.sampling.dry = {.multiplier = 2, .allowed_length = 1, .breakers = {{3}, {4, 5}}};
    if (draw(4) == 0) {
      request.stop_tokens = {test::kWordEnd};
      const std::size_t which = draw(grammars.size() + 1);
      if (which < grammars.size()) {
        request.constraint = grammars[which];
        request.max_tokens = 1 + draw(40);
      } else {
        request.constraint = std::make_shared<test::Rising>(2 + draw(8), test::kWordEnd);
      }
      if (draw(2) == 0)
        request.constraint =
            std::make_shared<test::Napping>(request.constraint, 1 + draw(6), std::chrono::microseconds(1500));
    }
    if (draw(10) == 0) request.prompt_logprobs = true;
    if (draw(12) == 0) {
      request.pooling = draw(2) == 0 ? Pooling::mean : Pooling::last;
      request.samples = 1;
      request.logprobs.reset();
      request.prompt_logprobs = false;
      request.constraint.reset();
    }
  }
  return requests;
}

void expect_same(const test::Collected& got, const test::Collected& expected, bool cancelled, const std::string& what) {
  ASSERT_EQ(got.samples.size(), expected.samples.size()) << what;
  for (std::size_t i = 0; i < got.samples.size(); ++i) {
    const auto &g = got.samples[i], &e = expected.samples[i];
    ASSERT_FALSE(g.end.error) << what << g.end.error->message();
    if (cancelled && g.end.reason == FinishReason::cancelled) {
      ASSERT_LE(g.tokens.size(), e.tokens.size()) << what;
    } else {
      ASSERT_EQ(g.tokens.size(), e.tokens.size()) << what;
      ASSERT_EQ(g.end.reason, e.end.reason) << what;
      ASSERT_EQ(g.end.tail, e.end.tail) << what;
    }
    // Of the raw logits: equal bits here are equal logits, near enough, of every step.
    for (std::size_t t = 0; t < g.tokens.size(); ++t) {
      ASSERT_EQ(g.tokens[t], e.tokens[t]) << what << " token " << t;
      if (g.logprobs.empty()) continue;
      ASSERT_EQ(g.logprobs[t], e.logprobs[t]) << what << " token " << t;
      for (std::size_t k = 2 * t; k < 2 * t + 2; ++k) {
        ASSERT_EQ(g.top[k].token, e.top[k].token) << what;
        ASSERT_EQ(g.top[k].logprob, e.top[k].logprob) << what;
      }
    }
  }
  if (!cancelled) {
    ASSERT_EQ(got.prompt_logprobs, expected.prompt_logprobs) << what;
    ASSERT_EQ(got.hidden, expected.hidden) << what;
  }
}

class SameBits : public testing::TestWithParam<std::string> {};

TEST_P(SameBits, WhateverRunsBeside) {
  const auto checkpoint = formats::Checkpoint::open(test::tiny_folder(GetParam()));
  std::mt19937 random(static_cast<std::uint32_t>(std::hash<std::string>()(GetParam())));
  std::vector<Request> requests;
  std::vector<test::Collected> expected;
  const auto vocab = static_cast<std::size_t>(models::read_config(*checkpoint).vocab_size);
  const auto words = test::json_words(vocab);
  const Grammars grammars = test::some_grammars(words);
  {
    Engine alone(
        *checkpoint,
        {.threads = 1, .context = kContext, .sequences = 3, .token_bytes = words, .speculate = Speculate::off});
    ASSERT_EQ(alone.vocab_size(), vocab);
    requests = random_requests(random, vocab, grammars);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      Request request = requests[i];
      request.salt = "only " + std::to_string(i);  // a cold cache
      expected.push_back(test::run(alone, std::move(request)));
      if (!requests[i].constraint || requests[i].thinking.end >= 0) continue;
      for (const auto& sample : expected.back().samples)
        EXPECT_TRUE(test::obeys(*requests[i].constraint, sample.tokens, vocab)) << "request " << i;
    }
    EXPECT_EQ(alone.health().cache_hits, 0u);
  }
  struct Shape {
    std::size_t threads, chunk, sequences, cache_tokens;
    Speculate speculate;
    bool disk;
  };
  using enum Speculate;
  const Shape shapes[] = {{1, 512, 32, 8192, automatic, false}, {2, 7, 32, 8192, off, false},
                          {2, 64, 8, 640, automatic, true},     {1, 33, 5, kContext, always, true},
                          {1, 512, 8, 1024, off, true},         {2, 16, 6, 640, always, false}};
  const test::TempFolder folder;
  std::uint64_t hits = 0, preemptions = 0, evictions = 0, drafted = 0, read = 0;
  for (const Shape& shape : shapes) {
    Engine engine(*checkpoint, {.threads = shape.threads,
                                .context = kContext,
                                .chunk = shape.chunk,
                                .sequences = shape.sequences,
                                .cache_tokens = shape.cache_tokens,
                                .token_bytes = words,
                                .speculate = shape.speculate,
                                .cache_folder = shape.disk ? folder.file("kv") : "",
                                .cache_disk = 8'000'000,
                                .cache_least_free = 0});
    for (int schedule = 0; schedule < kSchedules; ++schedule) {
      const std::size_t count = 1 + random() % (schedule % 20 == 0 ? 32 : 6);
      std::vector<std::size_t> chosen;
      std::vector<Reply> replies;
      std::vector<test::Collected> got(count);
      std::vector<bool> cancelled(count, false);
      for (std::size_t i = 0; i < count; ++i) {
        chosen.push_back(random() % requests.size());
        Request request = requests[chosen[i]];
        request.identity = std::to_string(random() % 3);
        request.salt = std::to_string(schedule / 50);
        request.shared_prefix = random() % 3 == 0 ? request.tokens.size() : 0;
        request.priority = random() % 4 == 0 ? Priority::batch : Priority::interactive;
        got[i].samples.resize(request.samples);
        replies.push_back(engine.submit(std::move(request)));
        // Later ones meet the others at some other point.
        if (random() % 4 == 0)
          if (const auto event = replies.back().wait(std::chrono::milliseconds(20))) test::take(got[i], *event);
        if (random() % 12 == 0) {
          const std::size_t victim = random() % replies.size();
          replies[victim].cancel();
          cancelled[victim] = true;
        }
      }
      for (std::size_t i = 0; i < count; ++i) {
        while (!replies[i].finished()) {
          const auto event = replies[i].wait(std::chrono::seconds(60));
          ASSERT_TRUE(event) << "request " << i << " of schedule " << schedule << " hangs";
          test::take(got[i], *event);
        }
        ASSERT_NO_FATAL_FAILURE(expect_same(got[i], expected[chosen[i]], cancelled[i],
                                            base::cat(GetParam(), " schedule ", schedule, " request ", chosen[i])));
      }
    }
    test::expect_idle(engine);
    const EngineHealth health = engine.health();
    hits += health.cache_hits;
    preemptions += health.preemptions;
    evictions += health.evictions;
    drafted += health.drafted;
    read += health.disk_read;
    EXPECT_EQ(health.disk_refused, 0u);
  }
  // The schedules did meet what they are to meet.
  EXPECT_GT(hits, 100u);
  EXPECT_GT(preemptions, 2u);
  EXPECT_GT(evictions, 100u);
  EXPECT_GT(drafted, 0u);
  EXPECT_GT(read, 20u);
}

INSTANTIATE_TEST_SUITE_P(Models, SameBits, testing::Values("qwen2", "deepseek_v3"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace minke::engine
