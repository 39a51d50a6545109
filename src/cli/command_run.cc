// minke run: one reply, or a chat in the terminal.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

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
#include "cli/constraint.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/offer_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/prompt_input.h"
#include "cli/reply_printer.h"
#include "cli/sampling_choice.h"
#include "cli/text_format.h"
#include "cli/vote.h"

namespace minke::cli {
namespace {

struct RunFlags {
  std::string model;
  PromptFlags prompt;
  std::string system;
  EngineFlags engine;
  CacheFlags cache;
  SamplingFlags sampling;
  ReplyFlags reply;
  ChatFlags chat;
  std::size_t samples = 1;
  std::string vote;
  std::int64_t max_tokens = -1;
  bool yes = false, raw = false, special = false, hide_thinking = false, json = false, verbose = false, quiet = false;

  std::size_t token_limit() const { return max_tokens < 0 ? 0 : static_cast<std::size_t>(max_tokens); }
};

void add_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("MODEL", flags.model, "Store name or path; of what is not here, a name for \"minke pull\"")
      ->required()
      ->option_text("");
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
  app.add_flag("-y,--yes", flags.yes, "Fetch a model that is not here without asking");
  app.add_flag("--json", flags.json, "Print the reply as one JSON object when it is complete");
  app.add_flag("-q,--quiet", flags.quiet, "No start line and no footer");
  app.add_flag("-v,--verbose", flags.verbose, "Say more about how the model is run");
  auto* samples = app.add_option("--samples", flags.samples, "Draw so many replies side by side")
                      ->check(CLI::Range(std::size_t{1}, std::size_t{256}))
                      ->option_text("N");
  app.add_option("--vote", flags.vote,
                 "Of the samples, the answer that most give: last-number, boxed (\\boxed{...}) or regex:PATTERN")
      ->option_text("RULE")
      ->needs(samples);
  add_sampling_flags(app, flags.sampling);
  add_reply_flags(app, flags.reply);
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
  const std::string model =
      offer_model(session, flags.model, {.yes = flags.yes, .chat = flags.chat, .engine = flags.engine});
  opened.checkpoint = open_checkpoint(session.environment.store(), model);
  opened.text = flags.raw ? open_plain_text(*opened.checkpoint)
                          : open_text_model(*opened.checkpoint, flags.chat.encoding_choice());
  if (!opened.text.warning.empty()) warn(opened.text.warning);
  return opened;
}

std::unique_ptr<ChatModel> load(const Session& session, const RunFlags& flags, Opened opened) {
  Progress progress("loading", session.environment.stderr_terminal);
  engine::EngineOptions options = flags.engine.options(kernels::Numerics::fast);
  flags.cache.apply(session.environment, options);
  options.sequences = flags.samples;
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
  SamplingChoice choice = choose_sampling(flags.sampling, model.sampling_defaults(),
                                          encoding ? std::optional(encoding->kind()) : std::nullopt,
                                          flags.chat.thinking(), model.text().tokenizer.get());
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

boost::json::object reply_object(const Reply& reply) {
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
  object["thinking_tokens"] = reply.outcome.thinking_tokens;
  object["prefill_seconds"] = reply.outcome.prefill_seconds;
  object["decode_seconds"] = reply.outcome.decode_seconds;
  object["drafted_tokens"] = reply.outcome.drafted_tokens;
  object["accepted_tokens"] = reply.outcome.accepted_tokens;
  return object;
}

std::string reply_json(const Reply& reply, const engine::SamplingParams& sampling) {
  boost::json::object object = reply_object(reply);
  object["seed"] = sampling.seed;
  return boost::json::serialize(object) + "\n";
}

std::string samples_json(std::span<const Reply> replies, const std::optional<Vote>& vote,
                         const engine::SamplingParams& sampling) {
  boost::json::object object;
  boost::json::array samples;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    boost::json::object one = reply_object(replies[i]);
    if (vote && vote->answers[i]) one["answer"] = base::to_valid_utf8(vote->answers[i].value_or(""));
    samples.emplace_back(std::move(one));
  }
  object["samples"] = std::move(samples);
  if (vote) {
    object["answer"] = vote->answer ? boost::json::value(base::to_valid_utf8(vote->answer.value_or(""))) : nullptr;
    object["votes"] = vote->votes;
    object["winner"] = vote->winner;
  }
  object["seed"] = sampling.seed;
  return boost::json::serialize(object) + "\n";
}

/// The winning reply, or all of them, and what the vote says.
int show_samples(const Session& session, const RunFlags& flags, std::span<const Reply> replies,
                 const engine::SamplingParams& sampling) {
  std::optional<Vote> vote;
  if (!flags.vote.empty()) {
    std::vector<std::string> contents;
    for (const Reply& reply : replies) contents.push_back(reply.content);
    vote = cli::vote(contents, AnswerRule::parse(flags.vote));
  }
  Output out(STDOUT_FILENO, "standard output");
  if (flags.json) {
    out.write(samples_json(replies, vote, sampling));
  } else {
    for (std::size_t i = 0; i < replies.size(); ++i) {
      if (vote && i != vote->winner) continue;
      if (!vote && !flags.quiet) note(base::cat("minke: sample ", i + 1, " of ", replies.size(), "\n"));
      ReplyPrinter printer(session.environment, flags.hide_thinking, out);
      printer.print({replies[i].thinking, replies[i].content});
      printer.finish();
    }
    out.flush();
  }
  if (vote && !flags.quiet) {
    note(vote->answer
             ? base::cat("minke: ", vote->votes, " of ", replies.size(), " samples answer ", *vote->answer, "\n")
             : std::string("minke: no sample has an answer\n"));
  }
  std::size_t tokens = 0, drafted = 0, accepted = 0;
  double seconds = 0;
  bool cancelled = false;
  for (const Reply& reply : replies) {
    tokens += reply.outcome.output_tokens;
    drafted += reply.outcome.drafted_tokens;
    accepted += reply.outcome.accepted_tokens;
    seconds = std::max(seconds, reply.outcome.decode_seconds);
    cancelled = cancelled || reply.outcome.reason == engine::FinishReason::cancelled;
  }
  if (!flags.quiet) {
    engine::Outcome all = replies.front().outcome;
    all.output_tokens = tokens;
    all.drafted_tokens = drafted;
    all.accepted_tokens = accepted;
    all.decode_seconds = seconds;
    note(base::cat(footer_text(all), "\n"));
  }
  return cancelled ? kInterruptedStatus : 0;
}

int answer_once(const Session& session, const RunFlags& flags, const std::string& given) {
  const std::optional<constrain::Grammar> grammar = read_grammar(flags.reply.constraint);
  if (!flags.vote.empty()) (void)AnswerRule::parse(flags.vote);  // before the weights are loaded
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
  const ReplyOptions options{sampling.params, flags.token_limit(), flags.reply, grammar};
  if (flags.samples > 1 || !flags.vote.empty()) {
    const std::vector<Reply> replies = model->samples(prompt, options, flags.samples, listener);
    progress.clear();
    return show_samples(session, flags, replies, sampling.params);
  }
  const Reply reply = model->reply(prompt, options, listener);
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
  if (flags.raw || flags.json || flags.samples > 1) {
    throw UsageError("--raw, --json and --samples need a prompt", "give one with -p TEXT, -f FILE or through a pipe");
  }
  ChatOptions options;
  options.grammar = read_grammar(flags.reply.constraint);
  const auto model = load(session, flags, open_model(session, flags));
  options.settings.sampling = flags.sampling;
  options.settings.thinking = flags.chat.thinking();
  if (flags.max_tokens > 0) options.settings.max_tokens = flags.token_limit();
  options.reply = flags.reply;
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
