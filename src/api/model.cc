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

/// What stands around a family's thinking: after the opening marker, before the closing one, and after that.
struct ThinkingGaps {
  std::string_view opened, closing, closed;
};
ThinkingGaps gaps_of(text::Encoding family) {
  if (family == text::Encoding::deepseek_v3_1 || family == text::Encoding::glm4_7) return {};
  if (family == text::Encoding::glm4_5) return {.opened = {}, .closing = {}, .closed = "\n"};
  return {.opened = "\n", .closing = "\n", .closed = "\n\n"};
}

/// Goes on from a reply that was begun.
void begin_reply(const text::ChatEncoding& encoding, const text::Message& begun, text::RenderedPrompt& rendered) {
  const ThinkingGaps gaps = gaps_of(encoding.kind());
  const auto plain = [&](std::string_view text) {
    if (!text.empty()) rendered.pieces.push_back({.text = std::string(text), .control = false});
  };
  const auto control = [&](std::string_view text) {
    rendered.pieces.push_back({.text = std::string(text), .control = true});
  };
  bool thinking = rendered.starts_in_thinking;
  if (begun.reasoning && !encoding.think_end().empty()) {
    if (!thinking) {
      control(encoding.think_begin());
      plain(gaps.opened);
    }
    plain(*begun.reasoning);
    thinking = true;
    rendered.starts_in_thinking = true;
    if (begun.content.empty()) return;
  }
  if (thinking) {
    plain(gaps.closing);
    control(encoding.think_end());
    plain(gaps.closed);
  }
  plain(begun.content);
  rendered.starts_in_thinking = false;
}

}  // namespace

engine::ThinkingOptions thinking_options(const text::ChatEncoding& encoding, const text::Tokenizer& tokenizer,
                                         bool open) {
  engine::ThinkingOptions thinking;
  if (encoding.think_end().empty()) return thinking;
  const auto end = tokenizer.find(encoding.think_end());
  if (!end) return thinking;
  thinking.end = *end;
  thinking.begin = tokenizer.find(encoding.think_begin()).value_or(-1);
  thinking.open = open;
  const ThinkingGaps gaps = gaps_of(encoding.kind());
  tokenizer.encode(gaps.closing, text::ControlText::ordinary, thinking.close);
  thinking.close.push_back(*end);
  tokenizer.encode(gaps.closed, text::ControlText::ordinary, thinking.close);
  return thinking;
}

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

namespace {

/// Makes the reply begin with a call, where it cannot be constrained to be one. Thinking would have to come before it:
/// it is left out.
std::vector<engine::TokenId> begin_call(const text::ChatEncoding& encoding, const text::Tokenizer& tokenizer,
                                        const ToolRequest& asked, text::RenderedPrompt& rendered, ToolSetup& setup) {
  const std::vector<engine::TokenId> before = rendered.encode(tokenizer);
  setup.begun = begun_call(encoding, asked);
  rendered.pieces.insert(rendered.pieces.end(), setup.begun.begin(), setup.begun.end());
  std::vector<engine::TokenId> tokens = rendered.encode(tokenizer);
  // Where the tokens of the border are others, the reply cannot be kept as it was drawn.
  if (tokens.size() > before.size() && std::equal(before.begin(), before.end(), tokens.begin())) {
    setup.begun_tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(before.size()), tokens.end());
  }
  return tokens;
}

bool has_calls(std::span<const text::Message> messages) {
  return std::any_of(messages.begin(), messages.end(),
                     [](const text::Message& message) { return !message.tool_calls.empty(); });
}

}  // namespace

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
  const bool offered = chat.tools != nullptr && !chat.tools->tools->empty();
  const bool forced = offered && chat.tools->forced() && begun == nullptr && !grammars;
  if (offered) options.tools = *chat.tools->tools;
  if (forced) options.thinking = text::Thinking::off;
  try {
    text::RenderedPrompt rendered = encoding->render(messages, options);
    if (begun != nullptr) begin_reply(*encoding, *begun, rendered);
    Prompt prompt;
    if (offered || has_calls(messages)) {
      prompt.tools = std::make_shared<ToolSetup>();
      prompt.tools->tools = offered ? chat.tools->tools : std::make_shared<std::vector<text::Tool>>();
      prompt.tools->report = offered && chat.tools->choice != ToolChoice::none;
      // A family with room for one call a message cannot be sent its own reply back if it made two.
      prompt.tools->parallel = offered && chat.tools->parallel && encoding->tool_format() != text::ToolFormat::llama3;
      prompt.tools->opening = rendered.opening;
    }
    prompt.tokens =
        forced ? begin_call(*encoding, *tokenizer, *chat.tools, rendered, *prompt.tools) : rendered.encode(*tokenizer);
    prompt.starts_in_thinking = rendered.starts_in_thinking;
    prompt.chat = true;
    prompt.continues = begun != nullptr && !rendered.starts_in_thinking;
    if (!prompt.continues) prompt.thinking = thinking_options(*encoding, *tokenizer, rendered.starts_in_thinking);
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
