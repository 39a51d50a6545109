// minke bench engine: its flags.
#include "cli/command_bench_engine.h"

#include <unistd.h>

#include <memory>

#include <CLI/CLI.hpp>

#include "cli/bench_engine.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace minke::cli {
namespace {

constexpr std::size_t kMostUsers = 1024;
constexpr std::size_t kMostCrowdTokens = std::size_t{1} << 20;

struct CrowdFlags {
  CrowdSettings settings;
  double target_ms = 0, every_ms = 0;
  bool json = false;
};

int bench_engine(const Session& session, CrowdFlags& flags) {
  CrowdSettings& settings = flags.settings;
  settings.target_inter_token = flags.target_ms / 1000;
  settings.every = flags.every_ms / 1000;
  const InterruptScope interrupt;
  const auto record = run_crowd(session, settings, [&interrupt] { return interrupt.requested(); });
  if (!record) return kInterruptedStatus;
  Output out(STDOUT_FILENO, "standard output");
  out.write(flags.json ? record_json(*record) + "\n" : crowd_table(*record));
  out.flush();
  return 0;
}

}  // namespace

CLI::App* add_bench_engine_command(CLI::App& bench, Session& session) {
  CLI::App* command = bench.add_subcommand("engine", "Measure many users at once");
  const auto flags = std::make_shared<CrowdFlags>();
  CrowdSettings& s = flags->settings;
  const auto tokens = CLI::Range(std::size_t{1}, kMostCrowdTokens);
  command->add_option("MODEL", s.model, "Store name or path")->required()->option_text("");
  command->add_option("--users", s.users, "Requests (default: 16)")
      ->check(CLI::Range(std::size_t{1}, kMostUsers))
      ->option_text("N");
  command->add_option("--prompt", s.prompt, "Tokens of each prompt, at random (default: 256)")
      ->check(tokens)
      ->option_text("N");
  command->add_option("--output", s.output, "Tokens of each reply (default: 64)")->check(tokens)->option_text("N");
  CLI::Option* rate =
      command->add_option("--rate", s.rate, "Requests per second, at random times (default: all at once)")
          ->check(CLI::Range(0.0, 1e6))
          ->option_text("R");
  command->add_option("--every", flags->every_ms, "Requests so far apart from each other (default: all at once)")
      ->check(CLI::Range(0.0, 1e6))
      ->excludes(rate)
      ->option_text("MS");
  command->add_option("--shared-prefix", s.shared_prefix, "Share of the prompt that all have in common (default: 0)")
      ->check(CLI::Range(0.0, 1.0))
      ->option_text("F");
  command
      ->add_option("--long-prompt", s.long_prompt,
                   "One more prompt of so many tokens, when each user has a quarter of its reply (default: none)")
      ->check(tokens)
      ->option_text("N");
  command
      ->add_option("--target-itl", flags->target_ms,
                   "Time between tokens to aim at while prompts are read (default: under twice that without them)")
      ->check(CLI::Range(0.0, 1e6))
      ->option_text("MS");
  command->add_flag("--json", flags->json, "JSON on standard output");
  add_engine_flags(*command, s.engine, ContextFlag::without);
  add_speculation_flag(*command, s.engine);
  command->footer(
      "Prompts are random and distinct, the cache is cold, replies run to their full length, greedily.\n"
      "output_throughput: output tokens / seconds from the first submit to the last end.\n\n"
      "Examples:\n"
      "  minke bench engine qwen2.5-coder:1.5b --users 16 --prompt 256 --output 64\n"
      "  minke bench engine smollm2 --users 8 --output 200 --long-prompt 4096 --json");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return bench_engine(session, *flags); }; });
  return command;
}

}  // namespace minke::cli
