#include "cli/options.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <limits>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/cat.h"

namespace minke::cli {
namespace {

constexpr std::size_t kMaxThreads = 1024;
constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 32;
constexpr const char* kModelGroup = "How the model is run";
constexpr const char* kSamplingGroup = "How tokens are drawn";
constexpr const char* kReplyGroup = "When a reply ends";
constexpr const char* kConstraintGroup = "What the answer has to be (at most one)";
constexpr const char* kChatGroup = "How messages become a prompt";

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (const std::string_view name : kernels::isa_names()) names.emplace_back(name);
  return names;
}

std::vector<std::string> encoding_names() {
  std::vector<std::string> names;
  for (const std::string_view name : text::encoding_names()) names.emplace_back(name);
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += base::cat(text.empty() ? "" : ", ", name);
  return text;
}

/// CLI11's form of a check: an empty text, or what is wrong.
std::string check_numa(const std::string& text) {
  if (text == "auto" || text == "off") return {};
  const bool number = !text.empty() && text.size() < 4 &&
                      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (number && std::stoul(text) != 0) return {};
  return base::cat("expected auto, off or a number from 1 to 999, got ", text);
}

/// "ID=X" each.
std::vector<engine::LogitBias> parse_biases(const std::vector<std::string>& given) {
  std::vector<engine::LogitBias> biases;
  for (const std::string& text : given) {
    engine::LogitBias one;
    const char* const end = text.data() + text.size();
    const auto id = std::from_chars(text.data(), end, one.token);
    bool good = id.ec == std::errc() && one.token >= 0 && id.ptr != end && *id.ptr == '=';
    if (good) {
      const auto value = std::from_chars(id.ptr + 1, end, one.bias);
      good = value.ec == std::errc() && value.ptr == end && one.bias >= -100 && one.bias <= 100;
    }
    if (!good) throw CLI::ValidationError("--logit-bias", base::cat("expected ID=X, X from -100 to 100, got ", text));
    biases.push_back(one);
  }
  return biases;
}

std::string environment_name(std::string_view flag) {
  std::string name = "MINKE_";
  for (const char c : flag) {
    name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return name;
}

}  // namespace

engine::EngineOptions EngineFlags::options(kernels::Numerics fallback) const {
  engine::EngineOptions result;
  result.threads = threads;
  result.sequences = 1;  // the terminal has one user
  result.context = context;
  result.memory_limit = memory;
  result.numerics = fallback;
  if (!numerics.empty()) result.numerics = numerics == "exact" ? kernels::Numerics::exact : kernels::Numerics::fast;
  if (!kv_type.empty())
    result.kv_type = kv_type == "f32"    ? kernels::KvType::f32
                     : kv_type == "bf16" ? kernels::KvType::bf16
                                         : kernels::KvType::q8;
  if (speculate == "off") result.speculate = engine::Speculate::off;
  if (speculate == "always") result.speculate = engine::Speculate::always;
  if (!isa.empty()) result.isa = kernels::isa_from_name(isa);
  if (!numa.empty() && numa != "auto") result.numa = numa == "off" ? 1 : std::stoul(numa);
  return result;
}

void add_engine_flags(CLI::App& app, EngineFlags& flags, ContextFlag context) {
  app.add_option("-t,--threads", flags.threads, "Threads (default: the physical cores that this process may use)")
      ->check(CLI::Range(std::size_t{1}, kMaxThreads))
      ->option_text("N")
      ->group(kModelGroup);
  app.add_option("--numa", flags.numa,
                 "Memory nodes to divide weights and work among: auto (the machine's; each thread stays on its node), "
                 "off, or a number, which divides alike without such nodes")
      ->check(check_numa)
      ->option_text("auto|off|N")
      ->group(kModelGroup);
  if (context == ContextFlag::with) {
    app.add_option("-c,--ctx-size", flags.context,
                   "Context in tokens (default: what fits in memory, up to the trained length)")
        ->check(CLI::Range(std::uint64_t{1}, kMaxContext))
        ->option_text("N")
        ->group(kModelGroup);
  }
  add_arithmetic_flags(app, flags);
}

void add_arithmetic_flags(CLI::App& app, EngineFlags& flags) {
  app.add_option("--memory", flags.memory, "Most memory to use, e.g. 6GB (default: what is available)")
      ->transform(CLI::AsSizeValue(true))
      ->option_text("SIZE")
      ->group(kModelGroup);
  app.add_option("--numerics", flags.numerics,
                 "fast: int8 activations where weights are quantised; exact: fp32 throughout")
      ->check(CLI::IsMember({"fast", "exact"}))
      ->option_text("fast|exact")
      ->group(kModelGroup);
  app.add_option("--kv-type", flags.kv_type, "Type of cached keys and values (default: bf16, in exact f32)")
      ->check(CLI::IsMember({"f32", "bf16", "q8"}))
      ->option_text("f32|bf16|q8")
      ->group(kModelGroup);
  app.add_option("--isa", flags.isa,
                 base::cat("Instruction set of the kernels (default: the best that runs here): ", joined(isa_names())))
      ->check(CLI::IsMember(isa_names()))
      ->option_text("NAME")
      ->group(kModelGroup);
}

void add_speculation_flag(CLI::App& app, EngineFlags& flags) {
  app.add_option(
         "--speculate", flags.speculate,
         "auto (default): guess tokens from what was said before, where that saves time; the reply is the same. "
         "always: where it does not, too, for measuring")
      ->check(CLI::IsMember({"auto", "always", "off"}))
      ->option_text("auto|always|off")
      ->group(kModelGroup);
}

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  const auto option = [&app](const char* names, auto& value, const char* text, const char* type) {
    return app.add_option(names, value, text)->option_text(type)->group(kSamplingGroup);
  };
  option("--temp,--temperature", flags.temperature, "Temperature; 0 always takes the most likely token", "X")
      ->check(CLI::Range(0.0, 100.0));
  option("--top-p", flags.top_p, "Draw from the smallest set whose probability reaches P", "P")
      ->check(CLI::Range(0.0, 1.0));
  option("--top-k", flags.top_k, "Draw from the K most likely tokens; 0: from all", "K")
      ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()));
  option("--min-p", flags.min_p, "Leave out tokens less likely than P times the most likely one", "P")
      ->check(CLI::Range(0.0, 1.0));
  option("--repeat-penalty", flags.repeat_penalty, "Divide the logits of tokens seen before by X; 1: off", "X")
      ->check(CLI::Range(0.0, 10.0));
  option("--presence-penalty", flags.presence_penalty, "Take X from the logit of each token that is in the reply", "X")
      ->check(CLI::Range(-2.0, 2.0));
  option("--frequency-penalty", flags.frequency_penalty, "The same, as often as it is there", "X")
      ->check(CLI::Range(-2.0, 2.0));
  option("--dry-multiplier", flags.dry_multiplier,
         "DRY: lower a token that would go on with what stood there before by X * base ^ (length - allowed); 0: off",
         "X")
      ->check(CLI::Range(0.0, 100.0));
  option("--dry-base", flags.dry_base, "DRY's base (default: 1.75)", "X")->check(CLI::Range(1.0, 10.0));
  option("--dry-allowed-length", flags.dry_allowed_length,
         "DRY: longest repetition that is let be, plus 1 (default: 2)", "N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000}));
  option("--dry-range", flags.dry_range, "DRY: last tokens that are looked at, the prompt's too (default: 0, all)", "N")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000000}));
  option("--dry-breaker", flags.dry_breakers,
         "DRY: a repetition does not reach over this text; may be repeated (default: newline : \" *)", "TEXT")
      ->allow_extra_args(false);
  app.add_option_function<std::vector<std::string>>(
         "--logit-bias", [&flags](const std::vector<std::string>& given) { flags.logit_bias = parse_biases(given); },
         "Add X to the logit of token ID (-100 to 100: never to always); may be repeated")
      ->allow_extra_args(false)
      ->option_text("ID=X")
      ->group(kSamplingGroup);
  option("-s,--seed", flags.seed, "Seed; the same seed gives the same reply (default: drawn anew)", "N");
}

namespace {

void add_constraint_flags(CLI::App& app, ConstraintFlags& flags) {
  std::vector<CLI::Option*> all;
  const auto add = [&](CLI::Option* option, const char* type) {
    option->option_text(type)->group(kConstraintGroup);
    for (CLI::Option* other : all) option->excludes(other);
    all.push_back(option);
  };
  add(app.add_flag("--json-object", flags.json_object, "A JSON object"), "");
  add(app.add_option("--json-schema", flags.json_schema, "JSON by the schema in a file; - is standard input"), "FILE");
  add(app.add_option("--regex", flags.regex, "What a regular expression matches as a whole (Rust's syntax)"),
      "PATTERN");
  add(app.add_option("--choice", flags.choices, "One of some texts; repeated for each")->allow_extra_args(false),
      "TEXT");
  add(app.add_option("--grammar", flags.grammar, "By the grammar in a file, in llguidance's form of Lark"), "FILE");
}

}  // namespace

void add_reply_flags(CLI::App& app, ReplyFlags& flags) {
  add_constraint_flags(app, flags.constraint);
  const auto option = [&app](const char* names, auto& value, const char* text, const char* type) {
    return app.add_option(names, value, text)->option_text(type)->group(kReplyGroup);
  };
  option("--stop", flags.stops, "End the answer before this text; may be repeated", "TEXT")->allow_extra_args(false);
  option("--min-tokens", flags.min_tokens, "Let the model end its reply only after so many tokens", "N");
  app.add_flag("--ignore-eos", flags.ignore_eos, "Never let the model end its reply")->group(kReplyGroup);
  option("--think-max", flags.think_max,
         "Most tokens of thinking: then it is closed and the model answers; -1: no limit (default: three quarters of "
         "the reply, at most 32768)",
         "N")
      ->check(CLI::Range(std::int64_t{-1}, std::int64_t{1} << 32));
  option("--think-min", flags.think_min, "When the model stops thinking before so many tokens, have it go on", "N");
  option("--think-wait", flags.think_wait, "What is written to have it go on (default: Wait)", "TEXT");
  option("--think-waits", flags.think_waits, "At most so often (default: 4)", "N")
      ->check(CLI::Range(std::size_t{0}, engine::ThinkingOptions::kMostWaits));
  app.add_flag("--think-cycles", flags.think_cycles, "Do not close thinking that has come to repeat itself exactly")
      ->group(kReplyGroup);
}

std::optional<text::Encoding> ChatFlags::encoding_choice() const {
  return encoding.empty() ? std::nullopt : text::encoding_from_name(encoding);
}

text::Thinking ChatFlags::thinking() const {
  if (think.empty()) return text::Thinking::automatic;
  return think == "on" ? text::Thinking::on : text::Thinking::off;
}

std::string ChatFlags::date_text() const { return date == "today" ? text::template_date(std::time(nullptr)) : date; }

void add_chat_flags(CLI::App& app, ChatFlags& flags) {
  app.add_option("--think", flags.think, "Let the model think before it answers (default: as its family does)")
      ->check(CLI::IsMember({"on", "off"}))
      ->option_text("on|off")
      ->group(kChatGroup);
  app.add_option("--encoding", flags.encoding,
                 base::cat("Chat encoding (default: recognised from the checkpoint): ", joined(encoding_names())))
      ->check(CLI::IsMember(encoding_names()))
      ->option_text("NAME")
      ->group(kChatGroup);
  app.add_option(
         "--date", flags.date,
         "Date for families that print one: \"today\" or a text such as \"26 Jul 2024\" (default: the template's)")
      ->option_text("DATE")
      ->group(kChatGroup);
}

void add_environment_names(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const auto& names = option->get_lnames();
    if (names.empty() || option->get_positional() || names.front() == "help" || names.front() == "version") continue;
    option->envname(environment_name(names.front()));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) add_environment_names(*command);
}

}  // namespace minke::cli
