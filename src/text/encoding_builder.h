// What the encodings share: assembling pieces, and Python's string methods that templates use.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "text/chat.h"

namespace minke::text {

inline constexpr std::string_view kThinkBegin = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";
inline constexpr std::string_view kNoThink = "/nothink";  // GLM-4.5's, at the end of a question

/// Appends pieces; neighbouring plain text is joined.
class PromptBuilder {
 public:
  PromptBuilder& control(std::string_view spelling);
  PromptBuilder& plain(std::string_view text);
  /// `text` with those of `markers` in it as control tokens: for an encoding's own words, never a user's.
  PromptBuilder& marked(std::string_view text, std::span<const std::string_view> markers);
  /// A turn as it was drawn, with the opening that it continued.
  PromptBuilder& replay(const SampledTurn& turn);
  /// From here on pieces are also the prompt's `opening`.
  PromptBuilder& open_reply();
  /// "<think>", the opened block of a generation prompt.
  PromptBuilder& begin_thinking();
  /// The same with the line break that R1's and Qwen's templates write after it.
  PromptBuilder& open_thinking();
  /// "<think>\n\n</think>\n\n": thinking skipped, as Qwen3's template writes it.
  PromptBuilder& skip_thinking();
  RenderedPrompt take() { return std::move(prompt_); }

 private:
  static void append_plain(std::vector<PromptPiece>& pieces, std::string_view text);

  RenderedPrompt prompt_;
  bool opening_ = false;
};

/// str.strip(): whitespace as str.isspace() has it, non-ASCII included.
std::string_view python_strip(std::string_view text);
/// str.lstrip("\n"), str.rstrip("\n").
std::string_view strip_leading_newlines(std::string_view text);
std::string_view strip_trailing_newlines(std::string_view text);
/// text.split(separator)[-1] and [0].
std::string_view after_last(std::string_view text, std::string_view separator);
std::string_view before_first(std::string_view text, std::string_view separator);
inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// A stored assistant turn as Qwen3's and GLM's templates take it apart: the thinking is the message's
/// `reasoning` if that was given, else what stands before the first "</think>" of its content.
struct AssistantTurn {
  std::string_view reasoning, content;
};
AssistantTurn split_turn(const Message& message);

/// Error(unsupported) where tools, calls or their results are given to a family without a form for them.
void refuse_tools(Encoding encoding, std::span<const Message> messages, const RenderOptions& options);
/// A call's arguments as the object that templates print: python_json of it, or of {"arguments": TEXT} where the
/// model wrote no object.
std::string arguments_object(const ToolCall& call);

/// Error(invalid_argument): the template cannot be rendered without a message.
[[noreturn]] void throw_no_messages(Encoding encoding);

std::unique_ptr<ChatEncoding> make_deepseek_encoding(Encoding encoding);
std::unique_ptr<ChatEncoding> make_chatml_encoding(Encoding encoding);
std::unique_ptr<ChatEncoding> make_glm_encoding(Encoding encoding);
std::unique_ptr<ChatEncoding> make_llama3_encoding(Encoding encoding);

}  // namespace minke::text
