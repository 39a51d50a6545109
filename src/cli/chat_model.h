// A loaded model that takes messages or text and gives replies: the engine with its text on both sides.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/model_source.h"
#include "cli/options.h"
#include "constrain/grammar.h"
#include "engine/engine.h"
#include "text/chat.h"
#include "text/reply_parser.h"

namespace minke::cli {

/// What goes into the model.
struct Prompt {
  std::vector<text::TokenId> tokens;
  bool starts_in_thinking = false;
  bool chat = false;  ///< the reply is parsed into thinking and content
};

struct Reply {
  std::string thinking, content;
  std::vector<text::TokenId> ids;  ///< as drawn, the stop token left out
  engine::Outcome outcome;
};

/// What is asked of a reply.
struct ReplyOptions {
  engine::SamplingParams sampling;
  std::size_t max_tokens = 0;  ///< 0: until the context is full
  ReplyFlags flags;
  std::optional<constrain::Grammar> grammar;  ///< of the answer
};

struct ReplyListener {
  std::function<void(const text::ReplyDelta&)> delta;
  /// Asked often; true ends the reply.
  std::function<bool()> cancelled;
  std::function<void(std::size_t done, std::size_t total)> prefill;
};

class ChatModel {
 public:
  /// Loads the weights; `options.progress` hears of it.
  ChatModel(std::shared_ptr<const formats::Checkpoint> checkpoint, TextModel text,
            const engine::EngineOptions& options);

  const TextModel& text() const noexcept { return text_; }
  const models::SamplingDefaults& sampling_defaults() const noexcept { return defaults_; }
  engine::EngineInfo info() const { return engine_.info(); }

  /// Throws what `listener` throws, after the reply was ended. Error(context_overflow) names the flag to change.
  Reply reply(const Prompt& prompt, const ReplyOptions& options, const ReplyListener& listener);
  /// Several to the same prompt, drawn side by side (EngineOptions::sequences at least `samples`). The listener hears
  /// of no text.
  std::vector<Reply> samples(const Prompt& prompt, const ReplyOptions& options, std::size_t samples,
                             const ReplyListener& listener);

 private:
  engine::Request request(const Prompt& prompt, const ReplyOptions& options);

  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  TextModel text_;
  models::SamplingDefaults defaults_;
  std::unique_ptr<constrain::Vocabulary> vocabulary_;  ///< once it is needed; outlives the engine
  engine::Engine engine_;
};

/// How this model's replies to `prompt` think, and what `flags` want of that. Nothing to control where the family does
/// not think, the prompt is no chat, or the markers are not tokens of their own.
engine::ThinkingOptions thinking_options(const TextModel& text, const Prompt& prompt, const ReplyFlags& flags);

/// Messages through the encoding.
/// `date`: as RenderOptions.
Prompt chat_prompt(const TextModel& text, std::span<const text::Message> messages, text::Thinking thinking,
                   const std::string& date);
/// Text as given, BOS only if the model itself adds it.
Prompt raw_prompt(const TextModel& text, std::string_view given, text::ControlText control);

/// "prefill 1,234 tokens 412 tok/s | decode 64 tokens 18.3 tok/s | guesses 12 of 15 right | cache 0"; guesses where
/// there were some.
std::string footer_text(const engine::Outcome& outcome);
/// "avx2, 2 threads, fast, KV bf16, context 8,192 (trained length), weights 98 MB + KV 94 MB".
std::string start_text(const engine::EngineInfo& info, bool context_given);

}  // namespace minke::cli
