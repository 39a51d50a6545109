// minke bench constrain: how long the masks of constrained replies take.
#include "cli/command_bench_constrain.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/random.h"
#include "cli/constraint.h"
#include "cli/model_source.h"
#include "cli/output.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Flags {
  std::string model;
  std::size_t walks = 20, tokens = 200;
  bool json = false;
};

struct Case {
  std::string_view name;
  constrain::Grammar grammar;
};

std::vector<Case> cases() {
  using Kind = constrain::Grammar::Kind;
  std::vector<std::string> choices;
  choices.reserve(1000);
  for (int i = 0; i < 1000; ++i) choices.push_back(base::cat("choice ", i * i, " of many"));
  return {
      {"JSON object", {Kind::json_object, {}, {}}},
      {"flat schema",
       {Kind::json_schema,
        R"({"type":"object","properties":{"name":{"type":"string","maxLength":40},"age":{"type":"integer",)"
        R"("minimum":0,"maximum":150},"kind":{"enum":["a","b","c"]},"score":{"type":"number"}},)"
        R"("required":["name","age","kind"],"additionalProperties":false})",
        {}}},
      {"nested schema",
       {Kind::json_schema,
        R"({"$defs":{"node":{"type":"object","properties":{"label":{"type":"string"},"next":{"type":"array","items":)"
        R"({"$ref":"#/$defs/node"}}},"required":["label"],"additionalProperties":false}},"$ref":"#/$defs/node"})",
        {}}},
      {"formats",
       {Kind::json_schema,
        R"({"type":"array","minItems":3,"items":{"type":"object","properties":{"id":{"type":"string","format":"uuid"},)"
        R"("at":{"type":"string","format":"date-time"},"mail":{"type":"string","format":"email"},"code":)"
        R"({"type":"string","pattern":"^[A-Z]{3}-[0-9]{1,6}$"}},"required":["id","at","mail","code"]}})",
        {}}},
      {"regex", {Kind::regex, R"((The answer is [0-9]{1,8}\. ){2,20}[A-Za-z ]{10,200}\.)", {}}},
      {"1000 choices", {Kind::choice, {}, choices}},
      {"arithmetic",
       {Kind::lark,
        "start: sum\nsum: product ((\"+\" | \"-\") product)*\nproduct: atom ((\"*\" | \"/\") atom)*\n"
        "atom: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]{1,12}(\\.[0-9]{1,6})?/\n%ignore / {1,3}/\n",
        {}}},
  };
}

/// Milliseconds.
struct Times {
  double compile = 0;
  std::vector<double> masks;
  double at(double share) const {
    if (masks.empty()) return 0;
    const auto index = static_cast<std::size_t>(share * static_cast<double>(masks.size()));
    return masks[std::min(index, masks.size() - 1)];
  }
};

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Random walks: each token drawn from those that the mask allows, ends only where nothing else is.
Times measure(const constrain::Vocabulary& vocabulary, const Case& one, std::size_t vocab,
              const std::vector<text::TokenId>& ends, const Flags& flags) {
  Times times;
  Clock::time_point start = Clock::now();
  const auto beginning = vocabulary.compile(one.grammar);
  times.compile = since(start);
  std::vector<std::uint32_t> mask((vocab + 31) / 32);
  for (std::size_t walk = 0; walk < flags.walks; ++walk) {
    const auto constraint = beginning->clone();
    for (std::size_t token = 0; token < flags.tokens; ++token) {
      start = Clock::now();
      constraint->mask(mask);
      times.masks.push_back(since(start));
      for (const text::TokenId end : ends) mask[static_cast<std::size_t>(end) / 32] &= ~(1u << (end % 32));
      std::size_t allowed = 0;
      for (const std::uint32_t word : mask) allowed += static_cast<std::size_t>(std::popcount(word));
      if (allowed == 0) break;
      auto rank = static_cast<std::size_t>(base::uniform(1, walk, token) * static_cast<double>(allowed));
      std::size_t word = 0;
      for (; rank >= static_cast<std::size_t>(std::popcount(mask[word])); ++word)
        rank -= static_cast<std::size_t>(std::popcount(mask[word]));
      std::uint32_t bits = mask[word];
      for (; rank > 0; --rank) bits &= bits - 1;
      start = Clock::now();
      constraint->accept(static_cast<std::int32_t>(word * 32 + static_cast<std::size_t>(std::countr_zero(bits))));
      times.masks.back() += since(start);  // a step of the worker is both
    }
  }
  std::sort(times.masks.begin(), times.masks.end());
  return times;
}

int bench_constrain(const Session& session, const Flags& flags) {
  const auto tokenizer = open_tokenizer(session.environment.store(), flags.model);
  const std::vector<text::TokenId> ends = tokenizer->eos();
  Clock::time_point start = Clock::now();
  const auto vocabulary = open_vocabulary(*tokenizer, ends);
  const double opened = since(start);
  boost::json::array rows;
  std::string table = base::cat(padded("grammar", 16), padded("compile", 12), padded("masks", 10), padded("p50", 10),
                                padded("p99", 10), "worst (ms)\n");
  for (const Case& one : cases()) {
    const Times times = measure(*vocabulary, one, tokenizer->vocab_size(), ends, flags);
    const double p50 = times.at(0.5), p99 = times.at(0.99), worst = times.at(1);
    table +=
        base::cat(padded(one.name, 16), padded(base::cat(times.compile), 12), padded(base::cat(times.masks.size()), 10),
                  padded(base::cat(p50), 10), padded(base::cat(p99), 10), worst, "\n");
    boost::json::object row;
    row["grammar"] = one.name;
    row["compile_ms"] = times.compile;
    row["masks"] = times.masks.size();
    row["p50_mask_ms"] = p50;
    row["p99_mask_ms"] = p99;
    row["worst_mask_ms"] = worst;
    rows.emplace_back(std::move(row));
  }
  Output out(STDOUT_FILENO, "standard output");
  if (flags.json) {
    boost::json::object object;
    object["library"] = constrain::library_version();
    object["tokens"] = tokenizer->vocab_size();
    object["vocabulary_ms"] = opened;
    object["grammars"] = std::move(rows);
    out.write(boost::json::serialize(object) + "\n");
  } else {
    out.write(base::cat(constrain::library_version(), ", ", grouped(tokenizer->vocab_size()), " tokens, read in ",
                        opened, " ms\n", table));
  }
  out.flush();
  return 0;
}

}  // namespace

CLI::App* add_bench_constrain_command(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand("constrain", "Measure the masks of constrained replies");
  const auto flags = std::make_shared<Flags>();
  command->add_option("MODEL", flags->model, "Store name or path; only its tokenizer is read")
      ->required()
      ->option_text("");
  command->add_option("--walks", flags->walks, "Random replies for each grammar (default: 20)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100000}))
      ->option_text("N");
  command->add_option("--tokens", flags->tokens, "Most tokens of each (default: 200)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100000}))
      ->option_text("N");
  command->add_flag("--json", flags->json, "JSON on standard output");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return bench_constrain(session, *flags); }; });
  return command;
}

}  // namespace minke::cli
