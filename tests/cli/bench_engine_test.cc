#include "cli/bench_engine.h"

#include <gtest/gtest.h>

#include "cli/command.h"
#include "support/golden.h"

namespace minke::cli {
namespace {

Session no_store() {
  Session session;
  session.environment.minke_models = "/nowhere";
  return session;
}

CrowdSettings small() {
  CrowdSettings settings;
  settings.model = test::golden("tiny/qwen2");
  settings.users = 5;
  settings.prompt = 130;
  settings.output = 12;
  settings.engine.threads = 1;
  return settings;
}

TEST(BenchEngine, CountsWhatWasAsked) {
  const Session session = no_store();
  const auto record = run_crowd(session, small(), [] { return false; });
  ASSERT_TRUE(record);
  EXPECT_EQ(record->integer("users"), 5);
  EXPECT_EQ(record->integer("cached_tokens"), 0) << "the cache is cold";
  EXPECT_NEAR(record->number("output_throughput") * record->number("seconds"), 5 * 12, 1e-6);
  EXPECT_NEAR(record->number("total_throughput") * record->number("seconds"), 5 * (12 + 130), 1e-6);
  EXPECT_GT(record->number("median_ttft_ms"), 0);
  EXPECT_LE(record->number("median_ttft_ms"), record->number("p95_ttft_ms"));
  EXPECT_LE(record->number("p95_ttft_ms"), record->number("p99_ttft_ms"));
  EXPECT_GT(record->number("median_tpot_ms"), 0);
  EXPECT_LE(record->number("median_tpot_ms"), record->number("p95_tpot_ms"));
  EXPECT_GE(record->number("median_itl_ms"), 0) << "tokens guessed right come together";
  EXPECT_LE(record->number("median_itl_ms"), record->number("p95_itl_ms"));
  EXPECT_NE(crowd_table(*record).find("output tokens/s"), std::string::npos);
}

TEST(BenchEngine, ASharedPrefixIsFoundByThoseThatComeLater) {
  CrowdSettings settings = small();
  settings.shared_prefix = 1;
  settings.rate = 20;
  const Session session = no_store();
  const auto record = run_crowd(session, settings, [] { return false; });
  ASSERT_TRUE(record);
  // Whole blocks of the first's 130 tokens; one that comes close behind another may find less.
  EXPECT_GT(record->integer("cached_tokens"), 0);
  EXPECT_LE(record->integer("cached_tokens"), 4 * 128);
}

TEST(BenchEngine, RequestsComeOneAfterTheOther) {
  CrowdSettings settings = small();
  settings.every = 0.05;
  const Session session = no_store();
  const auto record = run_crowd(session, settings, [] { return false; });
  ASSERT_TRUE(record);
  EXPECT_EQ(record->number("every_ms"), 50);
  EXPECT_GE(record->number("seconds"), 4 * 0.05) << "from the first's submit to the last's end";
}

TEST(BenchEngine, ALongPromptBeside) {
  CrowdSettings settings = small();
  settings.output = 40;
  settings.long_prompt = 200;
  const Session session = no_store();
  const auto record = run_crowd(session, settings, [] { return false; });
  ASSERT_TRUE(record);
  EXPECT_EQ(record->integer("long_prompt_tokens"), 200);
  EXPECT_GT(record->number("p95_itl_before_ms"), 0);
  EXPECT_NE(crowd_table(*record).find("long prompt"), std::string::npos);
}

TEST(BenchEngine, StopsWhenAsked) {
  const Session session = no_store();
  EXPECT_FALSE(run_crowd(session, small(), [] { return true; }));
}

}  // namespace
}  // namespace minke::cli
