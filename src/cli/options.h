// Groups of flags that several commands share, and the values they fill.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/breaker_tokens.h"
#include "text/chat.h"

namespace CLI {
class App;
}

namespace minke::cli {

/// How the model is run.
struct EngineFlags {
  std::size_t threads = 0;
  std::uint64_t context = 0;
  std::uint64_t memory = 0;
  std::string isa, numerics, kv_type, numa, speculate;

  /// `fallback` is the arithmetic when --numerics is not given.
  engine::EngineOptions options(kernels::Numerics fallback) const;
};

enum class ContextFlag { with, without };
void add_engine_flags(CLI::App& app, EngineFlags& flags, ContextFlag context);
/// Those of add_engine_flags that take neither threads nor context: memory, arithmetic, cache type, instruction set.
void add_arithmetic_flags(CLI::App& app, EngineFlags& flags);

/// Whether tokens are guessed ahead, where replies are drawn.
void add_speculation_flag(CLI::App& app, EngineFlags& flags);

/// How tokens are drawn; what is not given comes from the checkpoint or its family.
struct SamplingFlags {
  std::optional<double> temperature, top_p, min_p, repeat_penalty;
  std::optional<double> presence_penalty, frequency_penalty, dry_multiplier, dry_base;
  std::optional<std::int64_t> top_k, dry_allowed_length, dry_range;
  std::vector<std::string> dry_breakers{std::begin(text::kDefaultBreakers), std::end(text::kDefaultBreakers)};
  std::vector<engine::LogitBias> logit_bias;
  std::optional<std::uint64_t> seed;
};
void add_sampling_flags(CLI::App& app, SamplingFlags& flags);

/// What the answer has to be; at most one.
struct ConstraintFlags {
  bool json_object = false;
  std::string json_schema, regex, grammar;  ///< schema and grammar: files
  std::vector<std::string> choices;
};

/// When a reply ends, how long it thinks, what its answer has to be.
struct ReplyFlags {
  std::vector<std::string> stops;
  std::size_t min_tokens = 0;
  bool ignore_eos = false;
  std::optional<std::int64_t> think_max;  ///< -1: no limit
  std::size_t think_min = 0;
  std::string think_wait = "Wait";
  std::size_t think_waits = 4;
  bool think_cycles = false;  ///< cycles are left alone
  ConstraintFlags constraint;
};
void add_reply_flags(CLI::App& app, ReplyFlags& flags);

/// How messages become a prompt.
struct ChatFlags {
  std::string encoding, think, date;

  std::optional<text::Encoding> encoding_choice() const;
  text::Thinking thinking() const;
  /// For text::RenderOptions: what was given, today's for "today".
  std::string date_text() const;
};
void add_chat_flags(CLI::App& app, ChatFlags& flags);

/// Gives every flag of `app` and its subcommands its environment name: MINKE_ + the first long name in
/// capitals, '-' as '_'. Positional arguments, --help and --version have none.
void add_environment_names(CLI::App& app);

}  // namespace minke::cli
