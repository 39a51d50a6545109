#include "cli/chat_model.h"

#include <chrono>
#include <exception>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "api/model.h"
#include "base/cat.h"
#include "base/error.h"
#include "cli/constraint.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

/// Ids to thinking and content while they come.
class ReplyStream {
 public:
  ReplyStream(const TextModel& text, const Prompt& prompt)
      : decoder_(*text.tokenizer),
        parser_(prompt.chat && text.encoding ? text.encoding->think_begin() : std::string_view(),
                prompt.chat && text.encoding ? text.encoding->think_end() : std::string_view(),
                prompt.starts_in_thinking) {}

  text::ReplyDelta push(text::TokenId id) { return parser_.push(decoder_.push(id)); }

  /// `tail`: bytes after the last token's.
  text::ReplyDelta finish(std::string_view tail) {
    text::ReplyDelta delta = parser_.push(base::cat(decoder_.push(tail), decoder_.finish()));
    const text::ReplyDelta rest = parser_.finish();
    delta.thinking += rest.thinking;
    delta.content += rest.content;
    return delta;
  }

 private:
  text::StreamDecoder decoder_;
  text::ReplyParser parser_;
};

engine::EngineOptions with_bytes(engine::EngineOptions options, const TextModel& text) {
  if (!options.token_bytes) options.token_bytes = token_bytes(*text.tokenizer);
  return options;
}

base::Error with_context_flag(const base::Error& error, const engine::EngineInfo& info) {
  std::string hint = "shorten the prompt";
  if (info.context < info.trained_context) {
    hint += base::cat(", or raise --ctx-size (now ", info.context, ", the model was trained for ", info.trained_context,
                      ")");
  }
  return base::Error(error.code(), error.message(), std::move(hint));
}

}  // namespace

ChatModel::ChatModel(std::shared_ptr<const formats::Checkpoint> checkpoint, TextModel text,
                     const engine::EngineOptions& options)
    : checkpoint_(std::move(checkpoint)),
      text_(std::move(text)),
      defaults_(models::read_sampling_defaults(*checkpoint_)),
      engine_(*checkpoint_, with_bytes(options, text_)) {}

engine::Request ChatModel::request(const Prompt& prompt, const ReplyOptions& options) {
  engine::Request request;
  request.tokens = prompt.tokens;
  request.sampling = options.sampling;
  request.max_tokens = options.max_tokens;
  request.min_tokens = options.flags.min_tokens;
  request.stop_tokens = stop_tokens(text_, defaults_);
  request.ignore_eos = options.flags.ignore_eos;
  request.stop_strings = options.flags.stops;
  request.thinking = thinking_options(text_, prompt, options.flags);
  if (options.grammar) {
    if (!vocabulary_) vocabulary_ = open_vocabulary(*text_.tokenizer, request.stop_tokens);
    request.constraint = vocabulary_->compile(*options.grammar);
  }
  return request;
}

Reply ChatModel::reply(const Prompt& prompt, const ReplyOptions& options, const ReplyListener& listener) {
  Reply reply;
  ReplyStream stream(text_, prompt);
  // The engine must not be left through a callback: what a listener throws waits here.
  std::exception_ptr thrown;
  const auto deliver = [&](const text::ReplyDelta& delta) {
    reply.thinking += delta.thinking;
    reply.content += delta.content;
    if (listener.delta && !(delta.thinking.empty() && delta.content.empty())) listener.delta(delta);
  };
  const auto guarded = [&](const auto& work) noexcept {
    try {
      work();
      return !(listener.cancelled && listener.cancelled());
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  };
  engine::Callbacks callbacks;
  callbacks.token = [&](engine::TokenId id) {
    return guarded([&] {
      reply.ids.push_back(id);
      deliver(stream.push(id));
    });
  };
  callbacks.prefill = [&](std::size_t done, std::size_t total) {
    return guarded([&] {
      if (listener.prefill) listener.prefill(done, total);
    });
  };
  try {
    reply.outcome = engine_.generate(request(prompt, options), callbacks);
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::context_overflow) throw with_context_flag(error, engine_.info());
    throw;
  }
  if (thrown) std::rethrow_exception(thrown);
  deliver(stream.finish(reply.outcome.tail));
  return reply;
}

std::vector<Reply> ChatModel::samples(const Prompt& prompt, const ReplyOptions& options, std::size_t samples,
                                      const ReplyListener& listener) {
  std::vector<Reply> replies(samples);
  std::vector<ReplyStream> streams(samples, ReplyStream(text_, prompt));
  const auto add = [](Reply& reply, const text::ReplyDelta& delta) {
    reply.thinking += delta.thinking;
    reply.content += delta.content;
  };
  engine::Request asked = request(prompt, options);
  asked.samples = samples;
  engine::Reply running;
  try {
    running = engine_.submit(std::move(asked));
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::context_overflow) throw with_context_flag(error, engine_.info());
    throw;
  }
  while (!running.finished()) {
    if (listener.cancelled && listener.cancelled()) running.cancel();
    const std::optional<engine::Event> event = running.wait(std::chrono::milliseconds(50));
    if (!event) continue;
    if (const auto* progress = std::get_if<engine::PrefillProgress>(&*event)) {
      if (listener.prefill) listener.prefill(progress->done, progress->total);
    } else if (const auto* drawn = std::get_if<engine::TokenDrawn>(&*event)) {
      replies[drawn->sample].ids.push_back(drawn->token);
      add(replies[drawn->sample], streams[drawn->sample].push(drawn->token));
    } else if (const auto* end = std::get_if<engine::Finished>(&*event)) {
      if (end->error) throw *end->error;  // NOLINT(cert-err09-cpp,cert-err61-cpp): a copy, by value
      Reply& reply = replies[end->sample];
      add(reply, streams[end->sample].finish(end->tail));
      reply.outcome = {.reason = end->reason,
                       .prompt_tokens = end->usage.prompt_tokens,
                       .cached_tokens = end->usage.cached_tokens,
                       .output_tokens = end->usage.output_tokens,
                       .thinking_tokens = end->usage.thinking_tokens,
                       .stop_string = end->stop_string,
                       .tail = end->tail,
                       .prefill_seconds = end->timings.prefill_seconds,
                       .decode_seconds = end->timings.decode_seconds};
    }
  }
  return replies;
}

engine::ThinkingOptions thinking_options(const TextModel& text, const Prompt& prompt, const ReplyFlags& flags) {
  engine::ThinkingOptions thinking;
  if (prompt.chat && text.encoding) {
    thinking = api::thinking_options(*text.encoding, *text.tokenizer, prompt.starts_in_thinking);
  }
  if (flags.think_max)
    thinking.max_tokens =
        *flags.think_max < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(*flags.think_max);
  thinking.min_tokens = flags.think_min;
  if (thinking.end < 0) return thinking;
  text.tokenizer->encode(flags.think_wait, text::ControlText::ordinary, thinking.wait);
  thinking.most_waits = flags.think_waits;
  thinking.close_cycles = !flags.think_cycles;
  return thinking;
}

Prompt chat_prompt(const TextModel& text, std::span<const text::Message> messages, text::Thinking thinking,
                   const std::string& date) {
  text::RenderOptions options;
  options.thinking = thinking;
  options.date = date;
  const text::RenderedPrompt rendered = text.encoding->render(messages, options);
  Prompt prompt;
  prompt.tokens = rendered.encode(*text.tokenizer);
  prompt.starts_in_thinking = rendered.starts_in_thinking;
  prompt.chat = true;
  return prompt;
}

Prompt raw_prompt(const TextModel& text, std::string_view given, text::ControlText control) {
  Prompt prompt;
  if (text.tokenizer->adds_bos()) {
    if (const auto bos = text.tokenizer->bos()) prompt.tokens.push_back(*bos);
  }
  text.tokenizer->encode(given, control, prompt.tokens);
  return prompt;
}

std::string footer_text(const engine::Outcome& outcome) {
  const auto part = [](std::string_view name, std::size_t tokens, double seconds) {
    std::string text = base::cat(name, " ", grouped(tokens), " tokens");
    if (tokens > 0 && seconds > 0) text += base::cat(" ", rate_text(static_cast<double>(tokens) / seconds), " tok/s");
    return text;
  };
  return base::cat(part("prefill", outcome.prompt_tokens - outcome.cached_tokens, outcome.prefill_seconds), " | ",
                   part("decode", outcome.output_tokens, outcome.decode_seconds),
                   outcome.drafted_tokens == 0 ? std::string()
                                               : base::cat(" | guesses ", grouped(outcome.accepted_tokens), " of ",
                                                           grouped(outcome.drafted_tokens), " right"),
                   " | cache ", grouped(outcome.cached_tokens));
}

std::string start_text(const engine::EngineInfo& info, bool context_given) {
  const bool whole = info.context >= info.trained_context;
  const std::string why = context_given ? base::cat("as asked, trained ", grouped(info.trained_context))
                          : whole       ? std::string("trained length")
                                        : base::cat("what fits in memory, trained ", grouped(info.trained_context));
  return base::cat(info.kernels, ", ", info.threads, info.threads == 1 ? " thread" : " threads",
                   info.nodes > 1 ? base::cat(" on ", info.nodes, " memory nodes, ") : ", ",
                   kernels::to_string(info.numerics), ", KV ", kernels::to_string(info.kv_type), ", context ",
                   grouped(info.context), " (", why, "), weights ", byte_text(info.weight_bytes),
                   info.weights_mapped ? " mapped" : "", " + KV ",
                   byte_text(info.kv_bytes_per_token * info.cache_tokens));
}

}  // namespace minke::cli
