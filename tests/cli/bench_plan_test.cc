#include "cli/bench_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace minke::cli {
namespace {

using Counts = std::vector<std::size_t>;

TEST(BenchPlan, ReadsListsRangesAndUnits) {
  EXPECT_EQ(parse_counts({"512,2048"}, "-p", 0), (Counts{512, 2048}));
  EXPECT_EQ(parse_counts({"1", "2"}, "-t", 1), (Counts{1, 2}));
  EXPECT_EQ(parse_counts({"1-4"}, "-t", 1), (Counts{1, 2, 3, 4}));
  EXPECT_EQ(parse_counts({"64-256+64"}, "-p", 0), (Counts{64, 128, 192, 256}));
  EXPECT_EQ(parse_counts({"64-200+64"}, "-p", 0), (Counts{64, 128, 192}));
  EXPECT_EQ(parse_counts({"128-1024*2,7"}, "-p", 0), (Counts{128, 256, 512, 1024, 7}));
  EXPECT_EQ(parse_counts({"2k,64k"}, "-d", 0), (Counts{2048, 65536}));
  EXPECT_EQ(parse_counts({"0"}, "-n", 0), (Counts{0}));
}

TEST(BenchPlan, RefusesWhatIsNoCount) {
  for (const char* bad : {"", "x", "1,", ",1", "1,,2", "-1", "4-1", "1-4+0", "1-4*1", "0-4*2", "1-4+", "1-", "1.5",
                          "1 ", "99999999999999999999", "134217728", "64m+1", "1-67108864", "1e3"}) {
    EXPECT_THROW(parse_counts({bad}, "-p", 0), base::Error) << bad;
  }
  EXPECT_THROW(parse_counts({"0"}, "-t", 1), base::Error);
}

TEST(BenchPlan, ErrorNamesTheFlag) {
  try {
    parse_counts({"512,many"}, "-p", 0);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(error.message().find("-p: expected numbers"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("\"many\""), std::string::npos) << error.message();
  }
}

TEST(BenchPlan, PlansPromptsThenDecodesAtEachDepth) {
  BenchLengths lengths;
  lengths.prompts = {512, 0};
  lengths.depths = {0, 4096};
  lengths.pairs = {parse_pair("256,64")};
  std::vector<std::string> names;
  for (const BenchTest& test : plan_tests(lengths)) names.push_back(test.name());
  EXPECT_EQ(names, (std::vector<std::string>{"pp512", "tg128", "pp256+tg64", "pp512 @ d4096", "tg128 @ d4096",
                                             "pp256+tg64 @ d4096"}));
  EXPECT_EQ(plan_tests(lengths).back().context(), 4096U + 256 + 64);
  for (const char* bad : {"512", "1,2,3", "0,1", "a,b"}) EXPECT_THROW(parse_pair(bad), base::Error) << bad;
}

TEST(BenchPlan, Spread) {
  EXPECT_EQ(spread_of({}).mean, 0);
  EXPECT_EQ(spread_of({3}).mean, 3);
  EXPECT_EQ(spread_of({3}).deviation, 0);
  EXPECT_DOUBLE_EQ(spread_of({2, 4, 4, 4, 5, 5, 7, 9}).mean, 5);
  EXPECT_DOUBLE_EQ(spread_of({2, 4, 4, 4, 5, 5, 7, 9}).deviation, std::sqrt(32.0 / 7));
}

TEST(BenchPlan, RewritesLlamaBenchFlagsForBenchAlone) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(with_long_bench_flags({"bench", "m", "-pg", "1,2", "-ub", "64", "-p", "5"}),
            (Words{"bench", "m", "--pg", "1,2", "--ubatch-size", "64", "-p", "5"}));
  EXPECT_EQ(with_long_bench_flags({"run", "m", "-pg"}), (Words{"run", "m", "-pg"}));
  EXPECT_EQ(with_long_bench_flags({}), Words{});
}

}  // namespace
}  // namespace minke::cli
