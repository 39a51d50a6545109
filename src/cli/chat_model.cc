#include "cli/chat_model.h"

#include <exception>
#include <utility>

#include "base/cat.h"
#include "base/error.h"
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

  text::ReplyDelta finish() {
    text::ReplyDelta delta = parser_.push(decoder_.finish());
    const text::ReplyDelta rest = parser_.finish();
    delta.thinking += rest.thinking;
    delta.content += rest.content;
    return delta;
  }

 private:
  text::StreamDecoder decoder_;
  text::ReplyParser parser_;
};

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
      engine_(*checkpoint_, options) {}

Reply ChatModel::reply(const Prompt& prompt, const engine::SamplingParams& sampling, std::size_t max_tokens,
                       const ReplyListener& listener) {
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
    engine::Request request;
    request.tokens = prompt.tokens;
    request.sampling = sampling;
    request.max_tokens = max_tokens;
    request.stop_tokens = stop_tokens(text_, defaults_);
    reply.outcome = engine_.generate(std::move(request), callbacks);
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::context_overflow) throw with_context_flag(error, engine_.info());
    throw;
  }
  if (thrown) std::rethrow_exception(thrown);
  deliver(stream.finish());
  return reply;
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
                   part("decode", outcome.output_tokens, outcome.decode_seconds), " | cache ",
                   grouped(outcome.cached_tokens));
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
