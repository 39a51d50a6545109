// GLM-4.5, 4.6 and 4.7: a role token before each message, no token after it.
// Sources: the chat_template of GLM-4.6 and GLM-4.7-Flash; docs/encodings.md says how each is held.
#include <array>

#include "text/encoding_builder.h"
#include "text/python_json.h"

namespace minke::text {
namespace {

constexpr std::string_view kMask = "[gMASK]";
constexpr std::string_view kSop = "<sop>";
constexpr std::string_view kSystem = "<|system|>";
constexpr std::string_view kUser = "<|user|>";
constexpr std::string_view kAssistant = "<|assistant|>";
constexpr std::string_view kObservation = "<|observation|>";  // a tool's answer follows
constexpr std::string_view kEndOfText = "<|endoftext|>";

// A reply ends where the model announces the next speaker.
constexpr std::array<std::string_view, 3> kEndTokens = {kEndOfText, kUser, kObservation};
constexpr std::array<std::string_view, 18> kControlTokens = {
    kMask,       kSop,         kSystem,       kUser,          kAssistant,        kObservation,
    kEndOfText,  kThinkBegin,  kThinkEnd,     kNoThink,       "<tool_call>",     "</tool_call>",
    "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<tool_response>", "</tool_response>"};

// Both editions; what differs is the form of a call.
constexpr std::string_view kToolsBegin =
    "\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
    "signatures within <tools></tools> XML tags:\n<tools>\n";
constexpr std::string_view kToolsEnd =
    "</tools>\n\nFor each function call, output the function name and arguments within the following XML format:\n";
constexpr std::string_view kForm45 =
    "<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}</arg_value>\n"
    "<arg_key>{arg-key-2}</arg_key>\n<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>";
constexpr std::string_view kForm47 =
    "<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>"
    "<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>";

std::size_t after_last_user(std::span<const Message> messages) {
  for (std::size_t i = messages.size(); i > 0; --i) {
    if (messages[i - 1].role == Role::user) return i;
  }
  return 0;
}

class GlmEncoding final : public ChatEncoding {
 public:
  explicit GlmEncoding(Encoding kind) : kind_(kind), is_4_5_(kind == Encoding::glm4_5) {}

  Encoding kind() const override { return kind_; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    PromptBuilder out;
    out.control(kMask).control(kSop);
    if (!options.tools.empty()) offer(out, options.tools);
    const std::size_t current = after_last_user(messages);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const Message& message = messages[i];
      switch (message.role) {
        case Role::system:
          out.control(kSystem).plain(line()).plain(message.content);
          break;
        case Role::user:
          question(out.control(kUser).plain(line()), message.content, options.thinking);
          break;
        case Role::assistant:
          answer(out.control(kAssistant), message, i >= current);
          break;
        case Role::tool:
          if (i == 0 || messages[i - 1].role != Role::tool) out.control(kObservation);
          out.plain(line()).control("<tool_response>").plain(line()).plain(message.content);
          out.plain(line()).control("</tool_response>");
          break;
      }
    }
    if (options.add_generation_prompt) begin_reply(out.control(kAssistant).open_reply(), options.thinking);
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
  ToolFormat tool_format() const override { return ToolFormat::glm; }
  std::string_view think_begin() const override { return kThinkBegin; }
  std::string_view think_end() const override { return kThinkEnd; }

 private:
  // 4.5 sets every part on a line of its own, 4.7 none.
  std::string_view line() const { return is_4_5_ ? "\n" : ""; }

  // 4.5 is told in every question not to think, unless the question says so already.
  void question(PromptBuilder& out, std::string_view content, Thinking thinking) const {
    if (!is_4_5_ || thinking != Thinking::off) {
      out.plain(content);
      return;
    }
    if (content.ends_with(kNoThink)) content.remove_suffix(kNoThink.size());
    out.plain(content).control(kNoThink);
  }

  // Thinking is kept after the last question only; elsewhere the block is empty (4.5) or only closed (4.7).
  void answer(PromptBuilder& out, const Message& message, bool current) const {
    if (message.sampled && (current || !message.sampled->thought)) {
      out.replay(*message.sampled);
      return;
    }
    const AssistantTurn turn = split_turn(message);
    out.plain(line());
    const bool shown = current && !turn.reasoning.empty();
    if (shown || is_4_5_) out.control(kThinkBegin);
    if (shown) out.plain(python_strip(turn.reasoning));
    out.control(kThinkEnd);
    const std::string_view content = python_strip(turn.content);
    if (!content.empty()) out.plain(line()).plain(content);
    for (const ToolCall& one : message.tool_calls) call(out.plain(line()), one);
  }

  // Strings are written as they are, other values as JSON.
  void call(PromptBuilder& out, const ToolCall& call) const {
    out.control("<tool_call>").plain(call.name).plain(line());
    const std::string arguments = arguments_object(call);
    if (const auto members = json_members(arguments)) {
      for (const JsonMember& member : *members) {
        out.control("<arg_key>").plain(member.name).control("</arg_key>").plain(line()).control("<arg_value>");
        out.plain(json_string(member.value).value_or(std::string(member.value)));
        out.control("</arg_value>").plain(line());
      }
    }
    out.control("</tool_call>");
  }

  void offer(PromptBuilder& out, std::span<const Tool> tools) const {
    out.control(kSystem).plain(kToolsBegin);
    for (const Tool& tool : tools) out.plain(tool.definition).plain("\n");
    out.marked(kToolsEnd, kControlTokens).marked(is_4_5_ ? kForm45 : kForm47, kControlTokens);
  }

  void begin_reply(PromptBuilder& out, Thinking thinking) const {
    if (thinking == Thinking::off) {
      if (is_4_5_) out.plain("\n").control(kThinkBegin);
      out.control(kThinkEnd);
    } else if (!is_4_5_) {
      out.begin_thinking();
    }
  }

  Encoding kind_;
  bool is_4_5_;
};

}  // namespace

std::unique_ptr<ChatEncoding> make_glm_encoding(Encoding encoding) { return std::make_unique<GlmEncoding>(encoding); }

}  // namespace minke::text
