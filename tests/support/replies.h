// Reading an engine's replies to their end.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"

namespace minke::test {

struct Collected {
  struct Sample {
    std::vector<engine::TokenId> tokens;
    std::vector<float> logprobs;
    std::vector<engine::TokenLogprob> top;
    engine::Finished end;
  };
  std::vector<Sample> samples;
  std::vector<engine::Queued> places;
  std::vector<engine::PrefillProgress> progress;
  std::vector<float> prompt_logprobs, hidden;
  bool complete = false;  ///< every sample's end came
};

inline void take(Collected& into, const engine::Event& event) {
  if (const auto* queued = std::get_if<engine::Queued>(&event)) into.places.push_back(*queued);
  if (const auto* progress = std::get_if<engine::PrefillProgress>(&event)) into.progress.push_back(*progress);
  if (const auto* prompt = std::get_if<engine::PromptLogprobs>(&event)) into.prompt_logprobs = prompt->logprobs;
  if (const auto* pooled = std::get_if<engine::PooledHidden>(&event)) into.hidden = pooled->values;
  if (const auto* drawn = std::get_if<engine::TokenDrawn>(&event)) {
    Collected::Sample& sample = into.samples.at(drawn->sample);
    sample.tokens.push_back(drawn->token);
    if (drawn->logprob) sample.logprobs.push_back(*drawn->logprob);
    sample.top.insert(sample.top.end(), drawn->top.begin(), drawn->top.end());
  }
  if (const auto* end = std::get_if<engine::Finished>(&event)) into.samples.at(end->sample).end = *end;
}

/// Everything up to the last sample's end; fails after a minute without news.
inline Collected collect(engine::Reply& reply, std::size_t samples = 1) {
  Collected all;
  all.samples.resize(samples);
  while (!reply.finished()) {
    const auto event = reply.wait(std::chrono::seconds(60));
    if (!event) {
      ADD_FAILURE() << "no event for a minute";
      return all;
    }
    take(all, *event);
  }
  all.complete = true;
  return all;
}

/// A vocabulary for models that have none: words of one to four of eight letters, a newline here and there.
inline std::shared_ptr<const engine::TokenBytes> letters(std::size_t vocab) {
  return std::make_shared<engine::TokenBytes>(vocab, [word = std::string()](engine::TokenId id) mutable {
    word.clear();
    for (int i = 0, rest = id; i <= id % 4; ++i, rest /= 8) word.push_back(static_cast<char>('a' + rest % 8));
    if (id % 31 == 0) word = "\n";
    return engine::TokenBytes::Entry{.bytes = word};
  });
}

inline Collected run(engine::Engine& engine, engine::Request request) {
  const std::size_t samples = request.samples;
  engine::Reply reply = engine.submit(std::move(request));
  return collect(reply, samples);
}

/// Nothing runs, and every block has come back: told at the end of a step, which may be after its last event.
inline void expect_idle(const engine::Engine& engine) {
  engine::EngineHealth health = engine.health();
  for (int i = 0; i < 2000 && (health.running > 0 || health.free_blocks != health.cache_blocks); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    health = engine.health();
  }
  EXPECT_EQ(health.running, 0u);
  EXPECT_EQ(health.waiting, 0u);
  EXPECT_EQ(health.free_blocks, health.cache_blocks);
}

}  // namespace minke::test
