// Which guesses get rows, and that guessing changes nothing but the time.
#include "engine/speculation.h"

#include <gtest/gtest.h>

#include "support/golden.h"
#include "support/replies.h"

namespace minke::engine {
namespace {

class Choosing : public testing::Test {
 protected:
  Choosing() : cost_({.most_rows = 512}, 16 + Speculation::kMostRows), speculation_(16) {}

  /// Steps that take 10 ms and `row` more for each row beyond the first.
  void measure(double row, std::size_t most = 40) {
    for (std::size_t rows = 1; rows <= most; ++rows)
      for (int i = 0; i < 50; ++i) cost_.learn(rows, 0, 0.010 + row * static_cast<double>(rows - 1));
  }
  /// Guesses of `count` tokens for each of several replies, right with these chances.
  std::vector<std::size_t> choose(const std::vector<float>& chances, std::size_t count = kMostDraft) {
    std::vector<DraftJob> jobs(chances.size());
    std::vector<DraftRecord> records(chances.size());
    std::vector<Speculation::Candidate> candidates(chances.size());
    for (std::size_t i = 0; i < chances.size(); ++i) {
      jobs[i].count = chances[i] > 0 ? count : 0;
      records[i].chance.fill(chances[i]);
      candidates[i] = {.job = &jobs[i], .record = &records[i]};
    }
    speculation_.choose(candidates, cost_);
    std::vector<std::size_t> rows;
    for (const auto& candidate : candidates) rows.push_back(candidate.rows);
    return rows;
  }

  StepCost cost_;
  Speculation speculation_;
};

TEST_F(Choosing, CheapRowsAreFilledAndDearOnesAreNot) {
  EXPECT_EQ(choose({0.9F}), std::vector<std::size_t>{0}) << "what a step takes is not known yet";
  measure(0.0005);
  EXPECT_GT(choose({0.95F})[0], 8u);
  EXPECT_GT(choose({0.5F})[0], 1u);
  EXPECT_LT(choose({0.5F})[0], 6u);
  EXPECT_EQ(choose({0.05F})[0], 0u);
  EXPECT_EQ(choose({0.0F})[0], 0u);
}

TEST_F(Choosing, WhenEachRowCostsAStepNothingIsGuessed) {
  measure(0.010);
  int tried = 0;
  for (int i = 0; i < 640; ++i) {
    const std::size_t rows = choose({0.9F})[0];
    EXPECT_LE(rows, 2u);
    tried += rows > 0 ? 1 : 0;
  }
  EXPECT_EQ(tried, 10) << "but now and then it is measured again";
}

TEST_F(Choosing, TheLikeliestGuessesOfAllRepliesComeFirst) {
  measure(0.001);
  const auto rows = choose({0.3F, 0.95F, 0.0F, 0.8F});
  EXPECT_GT(rows[1], rows[3]);
  EXPECT_GT(rows[3], rows[0]);
  EXPECT_EQ(rows[2], 0u);
  EXPECT_EQ(choose({0.99F, 0.99F}, 3), (std::vector<std::size_t>{3, 3})) << "no more than were guessed";
}

TEST_F(Choosing, OneStepHasOnlySoManyRowsForGuesses) {
  measure(0, 48);
  std::size_t all = 0;
  for (const std::size_t count : choose(std::vector<float>(16, 0.99F))) all += count;
  EXPECT_EQ(all, Speculation::kMostRows);
}

TEST_F(Choosing, AlwaysIsWhatItSays) {
  std::vector<DraftJob> jobs(3);
  const DraftRecord record;
  std::vector<Speculation::Candidate> candidates;
  for (DraftJob& job : jobs) {
    job.count = 20;
    candidates.push_back({.job = &job, .record = &record, .always = &job != &jobs[1]});
  }
  speculation_.choose(candidates, cost_);
  EXPECT_EQ(candidates[0].rows, 20u);
  EXPECT_EQ(candidates[1].rows, 0u);
  EXPECT_EQ(candidates[2].rows, Speculation::kMostRows - 20) << "as far as there is room";
}

TEST(DraftRecord, LearnsHowOftenGuessesAreRight) {
  DraftRecord record;
  for (int i = 0; i < 60; ++i) record.learn(2, false);
  EXPECT_LT(record.chance[2], 0.01F);
  EXPECT_EQ(record.chance[1], DraftRecord().chance[1]);
  for (int i = 0; i < 60; ++i) record.learn(2, true);
  EXPECT_GT(record.chance[2], 0.99F);
}

// ---- in the engine

struct Ran {
  test::Collected reply;
  EngineHealth health;
};

/// A tiny model, which soon repeats itself.
Ran run(const Request& request, Speculate speculate, std::size_t context = 512) {
  const auto checkpoint = formats::Checkpoint::open(test::tiny_folder("qwen2"));
  Engine engine(*checkpoint, {.threads = 1, .context = context, .speculate = speculate});
  Ran result{.reply = test::run(engine, request), .health = {}};
  test::expect_idle(engine);
  result.health = engine.health();
  return result;
}

Request repetitive(std::size_t max_tokens) {
  Request request;
  for (int i = 0; i < 60; ++i) request.tokens.push_back(10 + i % 12);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.logprobs = 4;
  return request;
}

void expect_same(const test::Collected& got, const test::Collected& expected) {
  ASSERT_EQ(got.samples.size(), expected.samples.size());
  for (std::size_t s = 0; s < got.samples.size(); ++s) {
    const auto &g = got.samples[s], &e = expected.samples[s];
    ASSERT_EQ(g.tokens, e.tokens);
    ASSERT_EQ(g.logprobs, e.logprobs);
    ASSERT_EQ(g.top.size(), e.top.size());
    for (std::size_t i = 0; i < g.top.size(); ++i) ASSERT_EQ(g.top[i].logprob, e.top[i].logprob);
    ASSERT_EQ(g.end.reason, e.end.reason);
    ASSERT_EQ(g.end.usage.output_tokens, e.end.usage.output_tokens);
  }
}

TEST(Speculating, TheSameReplyInFewerSteps) {
  const Request request = repetitive(300);
  const Ran without = run(request, Speculate::off), with = run(request, Speculate::always);
  expect_same(with.reply, without.reply);
  const Usage& usage = with.reply.samples[0].end.usage;
  EXPECT_EQ(without.reply.samples[0].end.usage.drafted_tokens, 0u);
  EXPECT_GT(usage.accepted_tokens, 0u);
  EXPECT_LE(usage.accepted_tokens, usage.drafted_tokens);
  EXPECT_EQ(with.health.drafted, usage.drafted_tokens);
  EXPECT_EQ(with.health.accepted, usage.accepted_tokens);
  EXPECT_EQ(with.health.steps + usage.accepted_tokens, without.health.steps) << "each that is right saves a step";
}

TEST(Speculating, WhatIsAlwaysGuessedGivesTheSameReply) {
  // Sampled, with a prompt that repeats itself: many guesses, most of them wrong.
  Request request = repetitive(300);
  request.sampling = {.temperature = 1.5, .seed = 11};
  const Ran without = run(request, Speculate::off), always = run(request, Speculate::always);
  expect_same(run(request, Speculate::automatic).reply, without.reply);
  expect_same(always.reply, without.reply);
  const Usage& usage = always.reply.samples[0].end.usage;
  EXPECT_GT(usage.drafted_tokens, usage.accepted_tokens);
  EXPECT_EQ(always.health.steps + usage.accepted_tokens, without.health.steps);
}

TEST(Speculating, ARequestMaySayOtherwise) {
  Request request = repetitive(100);
  request.speculate = Speculate::off;
  EXPECT_EQ(run(request, Speculate::always).health.drafted, 0u);
  request.speculate = Speculate::always;
  EXPECT_EQ(run(request, Speculate::off).health.drafted, 0u) << "an engine without room for guesses";
  EXPECT_GT(run(request, Speculate::automatic).health.drafted, 0u);
}

TEST(Speculating, EndsWhereItWouldHaveEnded) {
  Request request = repetitive(0);
  expect_same(run(request, Speculate::always, 128).reply, run(request, Speculate::off, 128).reply);
  const auto tokens = run(repetitive(200), Speculate::off).reply.samples[0].tokens;
  // Ends at every length, and at tokens that come inside of guesses.
  for (std::size_t most = 1; most < 40; most += 3)
    expect_same(run(repetitive(most), Speculate::always).reply, run(repetitive(most), Speculate::off).reply);
  for (std::size_t at = 20; at < 200; at += 37) {
    request = repetitive(200);
    request.stop_tokens = {tokens[at]};
    request.min_tokens = at / 2;
    expect_same(run(request, Speculate::always).reply, run(request, Speculate::off).reply);
  }
}

TEST(Speculating, SamplesAndPenaltiesAreTheSame) {
  Request request = repetitive(120);
  request.samples = 1;
  for (const double temperature : {0.3, 1.0}) {
    request.sampling = {.temperature = temperature, .top_p = 0.95, .seed = 3};
    expect_same(run(request, Speculate::always).reply, run(request, Speculate::off).reply);
    request.sampling.repeat_penalty = 1.05;
    request.sampling.frequency_penalty = 0.1;
    expect_same(run(request, Speculate::always).reply, run(request, Speculate::off).reply);
  }
}

}  // namespace
}  // namespace minke::engine
