// Engine::generate, one reply at a time: reuse of the cached prefix, limits, stopping, errors.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/engine.h"
#include "support/golden.h"

namespace minke::engine {
namespace {

class Generate : public testing::Test {
 protected:
  Generate() : checkpoint_(formats::Checkpoint::open(test::golden("tiny/llama"))) {
    prompt_ = test::read_ids(test::golden("tiny/llama/ids.json"));
  }

  Engine make(EngineOptions options = {}) const {
    options.threads = 2;
    return Engine(*checkpoint_, options);
  }

  static std::pair<std::vector<TokenId>, Outcome> run(Engine& engine, const Request& request) {
    std::vector<TokenId> tokens;
    const Outcome outcome = engine.generate(request, {.token = [&](TokenId token) {
                                              tokens.push_back(token);
                                              return true;
                                            }});
    return {tokens, outcome};
  }

  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  std::vector<TokenId> prompt_;
};

TEST_F(Generate, ReusedPrefixGivesTheSameTokensAsAColdStart) {
  Engine warm = make();
  const Request first{.tokens = prompt_, .sampling = {.temperature = 0.8, .seed = 7}, .max_tokens = 20};
  const auto [tokens, cold] = run(warm, first);
  EXPECT_EQ(cold.cached_tokens, 0u);
  EXPECT_EQ(tokens.size(), 20u);

  std::vector<TokenId> longer = prompt_;
  longer.insert(longer.end(), tokens.begin(), tokens.begin() + 10);
  longer.push_back(5);
  const Request second{.tokens = longer, .sampling = {.temperature = 0.8, .seed = 7}, .max_tokens = 20};
  const auto [with_cache, reused] = run(warm, second);
  // Whole blocks: 131 prompt tokens and 10 of the reply.
  EXPECT_EQ(reused.cached_tokens, 128u);
  Engine fresh = make();
  EXPECT_EQ(with_cache, run(fresh, second).first);
}

TEST_F(Generate, TheSameSeedGivesTheSameTokensAndAnotherSeedOthers) {
  Engine engine = make();
  const auto with_seed = [&](std::uint64_t seed) {
    return run(engine, {.tokens = prompt_, .sampling = {.temperature = 1.5, .seed = seed}, .max_tokens = 30}).first;
  };
  const auto once = with_seed(1);
  EXPECT_EQ(with_seed(1), once);
  EXPECT_NE(with_seed(2), once);
}

TEST_F(Generate, StopsAtAStopTokenWithoutReportingIt) {
  Engine engine = make();
  const auto greedy = run(engine, {.tokens = prompt_, .sampling = {.temperature = 0}, .max_tokens = 10}).first;
  const auto [tokens, outcome] =
      run(engine, {.tokens = prompt_, .sampling = {.temperature = 0}, .max_tokens = 10, .stop_tokens = {greedy[0]}});
  EXPECT_TRUE(tokens.empty());
  EXPECT_EQ(outcome.reason, FinishReason::stop);
  EXPECT_EQ(outcome.output_tokens, 1u);
}

TEST_F(Generate, EndsWhenTheContextIsFull) {
  Engine engine = make({.context = prompt_.size() + 5});
  const auto [tokens, outcome] = run(engine, {.tokens = prompt_, .sampling = {.temperature = 0}});
  EXPECT_EQ(outcome.reason, FinishReason::context);
  EXPECT_EQ(tokens.size(), 5u);
}

TEST_F(Generate, APromptBeyondTheContextIsAnErrorWithBothCounts) {
  Engine engine = make({.context = 64});
  try {
    engine.generate({.tokens = prompt_}, {});
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::context_overflow);
    EXPECT_NE(error.message().find("131"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("64"), std::string::npos) << error.message();
  }
}

TEST_F(Generate, CancelsFromEitherCallback) {
  Engine engine = make();
  int seen = 0;
  const Outcome decode = engine.generate({.tokens = prompt_}, {.token = [&](TokenId) { return ++seen < 3; }});
  EXPECT_EQ(decode.reason, FinishReason::cancelled);
  EXPECT_EQ(seen, 3);
  std::vector<TokenId> other(prompt_.rbegin(), prompt_.rend());
  const Outcome prefill =
      engine.generate({.tokens = other}, {.prefill = [](std::size_t, std::size_t) { return false; }});
  EXPECT_EQ(prefill.reason, FinishReason::cancelled);
  EXPECT_EQ(prefill.output_tokens, 0u);
}

TEST_F(Generate, RefusesIdsOutsideTheVocabulary) {
  Engine engine = make();
  EXPECT_THROW(engine.generate({.tokens = {0, 271}}, {}), base::Error);
  EXPECT_THROW(engine.generate({.tokens = {-1}}, {}), base::Error);
  EXPECT_THROW(engine.generate({.tokens = {}}, {}), base::Error);
}

TEST_F(Generate, TooLittleMemoryIsToldBeforeLoading) {
  try {
    make({.context = 100000, .memory_limit = 6'000'000});
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::out_of_memory);
    EXPECT_NE(error.hint().find("--ctx-size"), std::string::npos) << error.hint();
  }
}

TEST_F(Generate, TheContextDefaultsToWhatFitsUpToTheTrainedLength) {
  EXPECT_EQ(make().info().context, make().info().trained_context);
}

}  // namespace
}  // namespace minke::engine
