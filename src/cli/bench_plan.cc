#include "cli/bench_plan.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/cat.h"
#include "cli/command.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

[[noreturn]] void refuse(std::string_view flag, std::string_view text, std::string_view expected) {
  throw UsageError(base::cat(flag, ": expected ", expected, ", got \"", printable(text.substr(0, 40)), "\""),
                   "values are separated by commas; ranges are FIRST-LAST, FIRST-LAST+STEP, FIRST-LAST*FACTOR");
}

/// Takes a number off the front of `text`; nullopt when there is none or it is beyond kMostTokens.
std::optional<std::size_t> take_number(std::string_view& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > kMostTokens) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  const std::size_t unit = text.empty() ? 1 : text.front() == 'k' ? 1024 : text.front() == 'm' ? 1024 * 1024 : 1;
  if (unit != 1) text.remove_prefix(1);
  value *= unit;
  return value <= kMostTokens ? std::optional(value) : std::nullopt;
}

struct Range {
  std::size_t first = 0, last = 0, step = 1;
  bool multiply = false;

  std::size_t after(std::size_t value) const { return multiply ? value * step : value + step; }
};

std::optional<Range> parse_range(std::string_view text) {
  Range range;
  const auto first = take_number(text);
  if (!first) return std::nullopt;
  range.first = range.last = *first;
  if (text.empty()) return range;
  if (text.front() != '-') return std::nullopt;
  text.remove_prefix(1);
  const auto last = take_number(text);
  if (!last || *last < *first) return std::nullopt;
  range.last = *last;
  if (text.empty()) return range;
  range.multiply = text.front() == '*';
  if (!range.multiply && text.front() != '+') return std::nullopt;
  text.remove_prefix(1);
  const auto step = take_number(text);
  // A range that stands still would never end.
  if (!step || !text.empty() || *step < (range.multiply ? 2U : 1U) || (range.multiply && range.first == 0)) {
    return std::nullopt;
  }
  range.step = *step;
  return range;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kLongFlags = {{
    {"-pg", "--pg"},
    {"-ub", "--ubatch-size"},
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
    {"-oe", "--output-err"},
    {"-ngl", "--n-gpu-layers"},
    {"-fa", "--flash-attn"},
    {"-mmp", "--mmap"},
    {"-sm", "--split-mode"},
    {"-mg", "--main-gpu"},
    {"-nkvo", "--no-kv-offload"},
    {"-embd", "--embeddings"},
    {"-dev", "--device"},
    {"-lm", "--load-mode"},
    {"-ncmoe", "--n-cpu-moe"},
    {"-ts", "--tensor-split"},
}};

}  // namespace

std::vector<std::size_t> parse_counts(const std::vector<std::string>& texts, std::string_view flag, std::size_t least) {
  std::vector<std::size_t> values;
  for (const std::string& text : texts) {
    std::string_view rest = text;
    while (true) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view word = rest.substr(0, comma);
      const auto range = parse_range(word);
      if (!range || range->first < least) {
        refuse(flag, word, base::cat("numbers from ", least, " to ", kMostTokens));
      }
      for (std::size_t value = range->first; value <= range->last; value = range->after(value)) {
        if (values.size() == kMostValues) refuse(flag, word, base::cat("at most ", kMostValues, " values"));
        values.push_back(value);
      }
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return values;
}

std::string BenchTest::name() const {
  std::string text;
  if (prompt > 0) text += base::cat("pp", prompt);
  if (gen > 0) text += base::cat(text.empty() ? "" : "+", "tg", gen);
  if (depth > 0) text += base::cat(" @ d", depth);
  return text;
}

BenchTest parse_pair(const std::string& text) {
  const std::vector<std::size_t> values = parse_counts({text}, "-pg", 1);
  if (values.size() != 2) refuse("-pg", text, "PROMPT,DECODED");
  return {.prompt = values[0], .gen = values[1]};
}

std::vector<BenchTest> plan_tests(const BenchLengths& lengths) {
  std::vector<BenchTest> tests;
  for (const std::size_t depth : lengths.depths) {
    for (const std::size_t prompt : lengths.prompts) {
      if (prompt > 0) tests.push_back({.prompt = prompt, .gen = 0, .depth = depth});
    }
    for (const std::size_t gen : lengths.gens) {
      if (gen > 0) tests.push_back({.prompt = 0, .gen = gen, .depth = depth});
    }
    for (const BenchTest& pair : lengths.pairs)
      tests.push_back({.prompt = pair.prompt, .gen = pair.gen, .depth = depth});
  }
  return tests;
}

Spread spread_of(const std::vector<double>& samples) {
  Spread spread;
  if (samples.empty()) return spread;
  const auto count = static_cast<double>(samples.size());
  for (const double sample : samples) spread.mean += sample / count;
  if (samples.size() < 2) return spread;
  double squares = 0;
  for (const double sample : samples) squares += (sample - spread.mean) * (sample - spread.mean);
  spread.deviation = std::sqrt(squares / (count - 1));
  return spread;
}

std::vector<std::string> with_long_bench_flags(std::vector<std::string> arguments) {
  if (arguments.empty() || arguments.front() != "bench") return arguments;
  for (std::string& argument : arguments) {
    for (const auto& [given, long_flag] : kLongFlags) {
      if (argument == given) argument = long_flag;
    }
  }
  return arguments;
}

}  // namespace minke::cli
