// What `minke bench` runs, in llama-bench's terms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minke::cli {

/// Values of a flag that takes several: "512,2048", and ranges "1-4", "64-256+64", "128-1024*2" (both ends
/// included). Suffixes k and m count 1,024s: "4k". Error(invalid_argument) names the flag, unless each is
/// between `least` and kMostTokens and there are at most kMostValues.
std::vector<std::size_t> parse_counts(const std::vector<std::string>& texts, std::string_view flag, std::size_t least);

inline constexpr std::size_t kMostTokens = std::size_t{1} << 26;
inline constexpr std::size_t kMostValues = 1000;

/// One test: a prompt of n_prompt tokens is read, then n_gen tokens are decoded one by one, after n_depth tokens
/// that are not timed.
struct BenchTest {
  std::size_t prompt = 0, gen = 0, depth = 0;

  std::size_t context() const { return depth + prompt + gen; }
  std::size_t tokens() const { return prompt + gen; }
  /// "pp512", "tg128", "pp512+tg128", with " @ d4096" after a depth.
  std::string name() const;
};

struct BenchLengths {
  std::vector<std::size_t> prompts = {512}, gens = {128}, depths = {0};
  std::vector<BenchTest> pairs;  ///< of -pg
};

/// "512,128" -> a test of both.
BenchTest parse_pair(const std::string& text);

/// For each depth: prompts, then decodes, then pairs. A length of 0 asks for none.
std::vector<BenchTest> plan_tests(const BenchLengths& lengths);

/// Arithmetic mean and sample standard deviation (n - 1; 0 for one sample).
struct Spread {
  double mean = 0, deviation = 0;
};
Spread spread_of(const std::vector<double>& samples);

/// llama-bench spells some flags with one dash and several letters ("-pg", "-ub"); what it takes is rewritten to the
/// long flag. `arguments`: of the program, the command first. Others are left as they are.
std::vector<std::string> with_long_bench_flags(std::vector<std::string> arguments);

}  // namespace minke::cli
