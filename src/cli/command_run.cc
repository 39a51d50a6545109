// minke run: one reply, or a chat in the terminal.
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "base/utf8.h"
#include "cli/cache_flags.h"
#include "cli/chat_model.h"
#include "cli/chat_session.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/prompt_input.h"
#include "cli/reply_printer.h"
#include "cli/sampling_choice.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

struct RunFlags {
  std::string model;
  PromptFlags prompt;
  std::string system;
  EngineFlags engine;
  CacheFlags cache;
  SamplingFlags sampling;
  ChatFlags chat;
  std::int64_t max_tokens = -1;
  bool raw = false, special = false, hide_thinking = false, json = false, verbose = false, quiet = false;

  std::size_t token_limit() const { return max_tokens < 0 ? 0 : static_cast<std::size_t>(max_tokens); }
};

void add_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("MODEL", flags.model, "Store name or path")->required()->option_text("");
  app.add_option("PROMPT", flags.prompt.positional, "What to say; with a pipe, the piped text follows it")
      ->option_text("");
  auto* text = app.add_option("-p,--prompt", flags.prompt.text, "What to say; standard input is left alone")
                   ->option_text("TEXT");
  app.add_option("-f,--file", flags.prompt.file, "Read what to say from a file; - is standard input")
      ->option_text("FILE")
      ->excludes(text);
  app.add_option("--system", flags.system, "System prompt")->option_text("TEXT");
  app.add_option("-n,--max-tokens", flags.max_tokens, "Most tokens of the reply; -1: until the context is full")
      ->check(CLI::Validator(
          [](const std::string& value) {
            return value == "0" ? std::string("a reply of 0 tokens is none; -1 means no limit") : std::string();
          },
          ""))
      ->check(CLI::Range(std::int64_t{-1}, std::int64_t{1} << 32))
      ->option_text("N");
  app.add_flag("--hidethinking", flags.hide_thinking, "Do not show the model's thinking");
  app.add_flag("--raw", flags.raw, "No chat encoding: the model continues the text as given");
  app.add_flag("--special", flags.special, "With --raw: control tokens in the text are control tokens");
  app.add_flag("--json", flags.json, "Print the reply as one JSON object when it is complete");
  app.add_flag("-q,--quiet", flags.quiet, "No start line and no footer");
  app.add_flag("-v,--verbose", flags.verbose, "Say more about how the model is run");
  add_sampling_flags(app, flags.sampling);
  add_chat_flags(app, flags.chat);
  add_engine_flags(app, flags.engine, ContextFlag::with);
  add_speculation_flag(app, flags.engine);
  add_cache_flags(app, flags.cache);
  app.footer(
      "Examples:\n"
      "  minke run smollm2                                 a chat; /help inside tells its commands\n"
      "  minke run smollm2 \"Why is the sky blue?\" -n 200\n"
      "  minke run qwen2.5-coder:1.5b -f task.txt --temp 0 > answer.txt\n"
      "  minke run qwen2.5-coder:1.5b \"Summarise:\" < notes.txt\n"
      "  minke run smollm2 --raw -p \"Once upon a time\" --seed 7");
}

/// What can be opened before the weights are: mistakes in a prompt need not wait for them.
struct Opened {
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  TextModel text;
};

Opened open_model(const Session& session, const RunFlags& flags) {
  Opened opened;
  opened.checkpoint = open_checkpoint(session.environment.store(), flags.model);
  opened.text = flags.raw ? open_plain_text(*opened.checkpoint)
                          : open_text_model(*opened.checkpoint, flags.chat.encoding_choice());
  if (!opened.text.warning.empty()) warn(opened.text.warning);
  return opened;
}

std::unique_ptr<ChatModel> load(const Session& session, const RunFlags& flags, Opened opened) {
  Progress progress("loading", session.environment.stderr_terminal);
  engine::EngineOptions options = flags.engine.options(kernels::Numerics::fast);
  flags.cache.apply(session.environment, options);
  options.progress = [&progress](std::uint64_t done, std::uint64_t total) {
    progress.update(done, total, base::cat(byte_text(done), " of ", byte_text(total)));
  };
  auto model = std::make_unique<ChatModel>(opened.checkpoint, std::move(opened.text), options);
  progress.clear();
  for (const std::string& warning : model->info().warnings) warn(warning);
  if (!flags.quiet) note(base::cat("minke: ", start_text(model->info(), flags.engine.context != 0), "\n"));
  return model;
}

SamplingChoice sampling_for(const RunFlags& flags, const ChatModel& model) {
  const auto& encoding = model.text().encoding;
  SamplingChoice choice =
      choose_sampling(flags.sampling, model.sampling_defaults(),
                      encoding ? std::optional(encoding->kind()) : std::nullopt, flags.chat.thinking());
  if (flags.verbose) {
    note(base::cat("minke: ", sampling_text(choice.params), ", seed ", choice.params.seed, " (defaults ", choice.source,
                   ")"));
    if (encoding) note(base::cat("; encoding ", text::to_string(encoding->kind())));
    note(base::cat("; ", model.text().tokenizer->description(), "\n"));
  }
  return choice;
}

Prompt make_prompt(const RunFlags& flags, const TextModel& text, const std::string& given) {
  if (flags.raw) {
    return raw_prompt(text, given, flags.special ? text::ControlText::parse : text::ControlText::ordinary);
  }
  std::vector<text::Message> messages;
  if (!flags.system.empty()) messages.push_back({text::Role::system, flags.system, std::nullopt});
  messages.push_back({text::Role::user, given, std::nullopt});
  return chat_prompt(text, messages, flags.chat.thinking(), flags.chat.date_text());
}

std::string reply_json(const Reply& reply, const engine::SamplingParams& sampling) {
  boost::json::object object;
  object["content"] = base::to_valid_utf8(reply.content);
  object["thinking"] = base::to_valid_utf8(reply.thinking);
  object["finish_reason"] = std::string(engine::to_string(reply.outcome.reason));
  boost::json::array ids;
  for (const text::TokenId id : reply.ids) ids.emplace_back(id);
  object["ids"] = std::move(ids);
  object["prompt_tokens"] = reply.outcome.prompt_tokens;
  object["cached_tokens"] = reply.outcome.cached_tokens;
  object["output_tokens"] = reply.outcome.output_tokens;
  object["prefill_seconds"] = reply.outcome.prefill_seconds;
  object["decode_seconds"] = reply.outcome.decode_seconds;
  object["drafted_tokens"] = reply.outcome.drafted_tokens;
  object["accepted_tokens"] = reply.outcome.accepted_tokens;
  object["seed"] = sampling.seed;
  return boost::json::serialize(object) + "\n";
}

int answer_once(const Session& session, const RunFlags& flags, const std::string& given) {
  Opened opened = open_model(session, flags);
  const Prompt prompt = make_prompt(flags, opened.text, given);
  const auto model = load(session, flags, std::move(opened));
  const SamplingChoice sampling = sampling_for(flags, *model);
  if (!flags.quiet && !flags.system.empty() && model->text().encoding) {
    const std::string_view advice = model->text().encoding->advice();
    if (!advice.empty()) note(base::cat("minke: ", advice, "\n"));
  }
  Output out(STDOUT_FILENO, "standard output");
  ReplyPrinter printer(session.environment, flags.hide_thinking, out);
  const InterruptScope interrupt;
  Progress progress("reading", session.environment.stderr_terminal);
  ReplyListener listener;
  listener.cancelled = [&interrupt] { return interrupt.requested(); };
  listener.prefill = [&progress](std::size_t done, std::size_t total) {
    progress.update(done, total, base::cat(grouped(done), " of ", grouped(total), " tokens"));
  };
  listener.delta = [&](const text::ReplyDelta& delta) {
    progress.clear();
    if (!flags.json) printer.print(delta);
  };
  const Reply reply = model->reply(prompt, sampling.params, flags.token_limit(), listener);
  progress.clear();
  if (flags.json) out.write(reply_json(reply, sampling.params));
  printer.finish();
  if (!flags.quiet) {
    const bool own_line = session.environment.stderr_terminal && !session.environment.stdout_terminal;
    note(base::cat(own_line ? "\n" : "", footer_text(reply.outcome), "\n"));
    if (reply.outcome.reason == engine::FinishReason::context) warn("the context is full: the reply was cut off");
  }
  return reply.outcome.reason == engine::FinishReason::cancelled ? kInterruptedStatus : 0;
}

int chat(const Session& session, const RunFlags& flags) {
  if (flags.raw || flags.json) {
    throw UsageError("--raw and --json need a prompt", "give one with -p TEXT, -f FILE or through a pipe");
  }
  const auto model = load(session, flags, open_model(session, flags));
  ChatOptions options;
  options.settings.sampling = flags.sampling;
  options.settings.thinking = flags.chat.thinking();
  if (flags.max_tokens > 0) options.settings.max_tokens = flags.token_limit();
  options.system = flags.system;
  options.date = flags.chat.date_text();
  options.hide_thinking = flags.hide_thinking;
  options.quiet = flags.quiet;
  if (flags.verbose) sampling_for(flags, *model);
  return run_chat(session.environment, *model, options);
}

int run(const Session& session, const RunFlags& flags) {
  const std::optional<std::string> given = read_prompt(flags.prompt, session.environment, flags.raw);
  return given ? answer_once(session, flags, *given) : chat(session, flags);
}

}  // namespace

void add_run_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("run", "Chat with a model, or get one reply");
  const auto flags = std::make_shared<RunFlags>();
  add_flags(*command, *flags);
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return run(session, *flags); }; });
}

}  // namespace minke::cli
