#include "api/model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"

namespace minke::api {
namespace {

/// Markers of filling in the middle: text before the gap, text after it, then the model writes what is missing.
struct FillMarkers {
  std::string_view before, after, middle;
  /// Further tokens of the family that end what was missing: its own markers, or another file's beginning.
  std::array<std::string_view, 3> ends;
};
constexpr std::array<FillMarkers, 3> kFillMarkers = {{
    // Qwen2.5-Coder: https://github.com/QwenLM/Qwen2.5-Coder, "Fill in the middle".
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", {"<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}},
    // DeepSeek-Coder, V2, V3: https://github.com/deepseek-ai/DeepSeek-Coder, "Code Insertion".
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", {}},
    // StarCoder and models with its vocabulary.
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", {"<fim_pad>", "<file_sep>", "<|file_separator|>"}},
}};

/// Goes on from a reply that was begun.
void begin_reply(const text::ChatEncoding& encoding, const text::Message& begun, text::RenderedPrompt& rendered) {
  // V3.1 has nothing around its markers, the others lines.
  const bool tight = encoding.kind() == text::Encoding::deepseek_v3_1;
  const auto plain = [&](std::string text) { rendered.pieces.push_back({.text = std::move(text), .control = false}); };
  const auto control = [&](std::string_view text) {
    rendered.pieces.push_back({.text = std::string(text), .control = true});
  };
  bool thinking = rendered.starts_in_thinking;
  if (begun.reasoning && !encoding.think_end().empty()) {
    if (!thinking) {
      control(encoding.think_begin());
      if (!tight) plain("\n");
    }
    plain(*begun.reasoning);
    thinking = true;
    rendered.starts_in_thinking = true;
    if (begun.content.empty()) return;
  }
  if (thinking) {
    if (!tight) plain("\n");
    control(encoding.think_end());
    if (!tight) plain("\n\n");
  }
  plain(begun.content);
  rendered.starts_in_thinking = false;
}

}  // namespace

void mark_fill_markers(text::Tokenizer& tokenizer) {
  for (const FillMarkers& markers : kFillMarkers) {
    for (const std::string_view marker : {markers.before, markers.after, markers.middle}) {
      tokenizer.mark_control(marker);
    }
    for (const std::string_view end : markers.ends) {
      if (!end.empty()) tokenizer.mark_control(end);
    }
  }
}

bool is_deepseek_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames = {"deepseek-chat", "deepseek-reasoner", "deepseek-flash",
                                                      "deepseek-v4-flash", "deepseek-v4-pro"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool Model::answers_to(std::string_view asked) const {
  return asked == name || is_deepseek_name(asked) || std::find(aliases.begin(), aliases.end(), asked) != aliases.end();
}

Prompt Model::chat_prompt(const Conversation& chat) const {
  if (!encoding) {
    throw ApiError(Fault::unsupported, base::cat("the model ", name,
                                                 " has no chat encoding; use /v1/completions, or start the server with "
                                                 "--encoding"));
  }
  text::RenderOptions options;
  options.thinking = chat.thinking == text::Thinking::automatic ? thinking : chat.thinking;
  if (date) options.date = date();
  std::span<const text::Message> messages = chat.messages;
  const text::Message* begun = chat.continue_last && !messages.empty() ? &messages.back() : nullptr;
  if (begun != nullptr) {
    messages = messages.first(messages.size() - 1);
    options.thinking = begun->reasoning ? text::Thinking::on : text::Thinking::off;
  }
  try {
    text::RenderedPrompt rendered = encoding->render(messages, options);
    if (begun != nullptr) begin_reply(*encoding, *begun, rendered);
    Prompt prompt;
    prompt.tokens = rendered.encode(*tokenizer);
    prompt.starts_in_thinking = rendered.starts_in_thinking;
    prompt.chat = true;
    prompt.continues = begun != nullptr && !rendered.starts_in_thinking;
    return prompt;
  } catch (const base::Error& error) {
    throw ApiError::from(error);
  }
}

Prompt Model::text_prompt(std::string_view given) const {
  Prompt prompt;
  if (tokenizer->adds_bos()) {
    if (const auto bos = tokenizer->bos()) prompt.tokens.push_back(*bos);
  }
  tokenizer->encode(given, text::ControlText::ordinary, prompt.tokens);
  return prompt;
}

Prompt Model::fill_prompt(std::string_view before, std::string_view after) const {
  for (const FillMarkers& markers : kFillMarkers) {
    const auto first = tokenizer->find(markers.before), hole = tokenizer->find(markers.after),
               middle = tokenizer->find(markers.middle);
    if (!first || !hole || !middle) continue;
    Prompt prompt;
    if (tokenizer->adds_bos()) {
      if (const auto bos = tokenizer->bos()) prompt.tokens.push_back(*bos);
    }
    prompt.tokens.push_back(*first);
    tokenizer->encode(before, text::ControlText::ordinary, prompt.tokens);
    prompt.tokens.push_back(*hole);
    tokenizer->encode(after, text::ControlText::ordinary, prompt.tokens);
    prompt.tokens.push_back(*middle);
    prompt.stop_tokens = {*first, *hole, *middle};
    for (const std::string_view end : markers.ends) {
      if (const auto id = end.empty() ? std::nullopt : tokenizer->find(end)) prompt.stop_tokens.push_back(*id);
    }
    return prompt;
  }
  throw ApiError(Fault::unsupported,
                 base::cat("suffix: the model ", name, " has no markers in its vocabulary for filling in the middle"),
                 "suffix");
}

}  // namespace minke::api
