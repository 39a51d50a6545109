// Chat encodings: messages -> the exact prompt of a model family, in code (no template is ever
// interpreted; a checkpoint's template is only recognised). docs/encodings.md has the rules of each.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tool.h"

namespace minke::text {

enum class Role { system, user, assistant, tool };
std::string_view to_string(Role role);
std::optional<Role> role_from_name(std::string_view name);

/// A prompt is a row of pieces: single control tokens by their spelling, plain text (the encoding's own words and
/// the messages'), in which nothing ever becomes a control token, and tokens as a model once drew them.
struct PromptPiece {
  std::string text;
  bool control = false;
  std::vector<TokenId> tokens = {};  ///< given: the piece is these, and `text` is what they say
};

/// A reply just as it was drawn. Rendered in place of a message's content, reasoning and calls, it gives the very
/// tokens that the cache holds, where text rendered anew may be spaced or cut into tokens differently.
struct SampledTurn {
  std::vector<PromptPiece> opening;  ///< RenderedPrompt::opening of the prompt that it answered
  std::vector<TokenId> tokens;       ///< without the one that ended it
  std::string text;
  bool thought = false;  ///< `tokens` hold thinking: shown only where the family shows the thinking of past turns
};

struct Message {
  Role role = Role::user;
  std::string content;
  /// Assistant only: the thinking of that turn, without its markers. Given but empty is not the same as
  /// not given: only in the latter case do families look for "</think>" in `content`.
  std::optional<std::string> reasoning;
  /// Assistant only. The results follow as messages of Role::tool, in the order of the calls.
  std::vector<ToolCall> tool_calls = {};
  /// Role::tool: the ToolCall::id that it answers.
  std::string tool_call_id = {};
  /// Assistant only: what this message was when it was drawn. Must say the same as the fields above.
  std::shared_ptr<const SampledTurn> sampled = {};
};

/// Whether the model shall think before it answers; `automatic` is the family's own default. Families
/// that cannot think (empty think_begin()) ignore it, as their templates do.
enum class Thinking { automatic, on, off };

struct RenderOptions {
  Thinking thinking = Thinking::automatic;
  bool add_generation_prompt = true;
  std::string date;  ///< "26 Jul 2024" for the families that print one (Llama-3.1); empty: the template's fixed date
  /// What the model is offered. Error(unsupported) for families without a tool format. Must outlive the call.
  std::span<const Tool> tools = {};
};

/// The local date as templates print it: "26 Jul 2024", whatever the locale.
std::string template_date(std::time_t now);

enum class Encoding {
  r1_distill_qwen,      ///< DeepSeek-R1-Distill-Qwen: the prompt opens <think>
  r1_distill_llama,     ///< DeepSeek-R1-Distill-Llama: the same
  r1_distill_original,  ///< both as first published: the model opens <think> itself
  r1_0528_qwen3,        ///< DeepSeek-R1-0528-Qwen3-8B
  chatml,               ///< no default system prompt
  qwen2,                ///< ChatML with Qwen2's default system prompt
  qwen2_5,              ///< ChatML with Qwen2.5's
  qwen3,                ///< thinking on or off
  qwen3_thinking,       ///< Qwen3-Thinking-2507: the prompt opens <think>
  llama3,
  llama3_1,  ///< 3.1, 3.2, 3.3: with the date header
  smollm2,
  deepseek_llm,   ///< DeepSeek LLM, V2, V2-Lite, Coder-V2 before 0724: "User: ... Assistant:" in plain text
  deepseek_v2_5,  ///< DeepSeek-V2.5, Coder-V2-Instruct-0724
  deepseek_v3,    ///< DeepSeek-V3, V3-0324
  deepseek_r1,    ///< DeepSeek-R1 itself: the prompt opens <think>
  deepseek_v3_1,  ///< thinking on or off
  glm4_5,         ///< GLM-4.5, 4.6: the model opens <think>; can be switched off
  glm4_7,         ///< GLM-4.7, 4.7-Flash: the prompt opens <think>; can be switched off
};
std::string_view to_string(Encoding encoding);
std::optional<Encoding> encoding_from_name(std::string_view name);
std::vector<std::string_view> encoding_names();

struct RenderedPrompt {
  std::vector<PromptPiece> pieces;
  bool starts_in_thinking = false;  ///< the generation prompt opened the thinking block
  /// What the generation prompt says for the model after its role: "<think>\n", "</think>", or nothing.
  std::vector<PromptPiece> opening;
  /// The whole text, as the official template renders it.
  std::string text() const;
  /// Ids: control pieces by their spelling; the plain text between two of them is encoded in one go with
  /// ControlText::ordinary, so that ids equal those of the whole text wherever messages quote no marker.
  /// BOS is a piece where the family has it, never added twice. `tokenizer` must know the encoding's
  /// control tokens (ChatEncoding::mark_control). Error(unsupported) when the vocabulary lacks one.
  std::vector<TokenId> encode(const Tokenizer& tokenizer) const;
};

class ChatEncoding {
 public:
  /// By name, for --encoding.
  static std::unique_ptr<ChatEncoding> create(Encoding encoding);

  struct Detected {
    std::unique_ptr<ChatEncoding> encoding;
    std::string warning;  ///< not empty when the template was edited and the family was told by its markers
    /// The template prints the current date where RenderOptions::date is empty (Llama-3.2 does, 3.1 has a
    /// fixed one): the caller, who may read the clock, passes template_date(now).
    bool prints_today = false;
  };
  /// From the checkpoint's template fingerprint; for an edited or missing template from architecture and
  /// marker tokens, with a warning; otherwise Error(unsupported) listing the --encoding choices.
  /// `architecture`: config model_type or GGUF general.architecture.
  static Detected detect(std::string_view chat_template, std::string_view architecture, const Tokenizer& tokenizer);
  /// The same with only the question "is there a token with this spelling?".
  static Detected detect(std::string_view chat_template, std::string_view architecture,
                         const std::function<bool(std::string_view)>& has_token);

  virtual ~ChatEncoding() = default;
  virtual Encoding kind() const = 0;
  /// Error(invalid_argument) where the official template raises an exception (no messages at all).
  virtual RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const = 0;

  /// Tokens that end a reply in this encoding, by spelling.
  virtual std::span<const std::string_view> end_tokens() const = 0;
  /// Spellings that are control in this encoding even where the file marks them special: false.
  virtual std::span<const std::string_view> control_tokens() const = 0;
  /// "<think>" / "</think>", or empty when the family does not think.
  virtual std::string_view think_begin() const { return {}; }
  virtual std::string_view think_end() const { return {}; }
  virtual ToolFormat tool_format() const { return ToolFormat::none; }
  /// The family's advice, said and not forced: R1 and its distills want no system prompt.
  virtual std::string_view advice() const { return {}; }

  /// Declares control_tokens() to the tokenizer. Call once after loading both.
  void mark_control(Tokenizer& tokenizer) const;
};

/// The recognition key of a template: FNV-1a 64 over its text, in which every run of whitespace (and of
/// "\n" escapes) counts as one space.
std::uint64_t template_fingerprint(std::string_view chat_template);

}  // namespace minke::text
