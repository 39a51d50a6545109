// ChatML and the families built on it: Qwen2, Qwen2.5, Qwen3, SmolLM2.
// Sources: the chat_template of the models named in docs/encodings.md, which says how each is held.
#include <array>

#include "text/encoding_builder.h"

namespace minke::text {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";

constexpr std::array<std::string_view, 2> kEndTokens = {kEnd, "<|endoftext|>"};
constexpr std::array<std::string_view, 9> kControlTokens = {
    kStart,      kEnd,      "<|endoftext|>",   "<tool_call>",     "</tool_call>",
    kThinkBegin, kThinkEnd, "<tool_response>", "</tool_response>"};
// Qwen2.5's text in front of the tools and behind them; Qwen3's is the same.
constexpr std::string_view kToolsBegin =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
    "signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsEnd =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
    "<args-json-object>}\n</tool_call>";

constexpr std::size_t kWithoutTools = 3;     // plain ChatML, SmolLM2, Qwen2: the markers are words
constexpr std::size_t kWithoutThinking = 5;  // Qwen2.5: "<think>" is no token of its vocabulary

struct Family {
  Encoding kind;
  std::string_view default_system;  // said when the first message is no system message
  bool needs_messages;              // its template reads messages[0]
  bool thinks;
  bool opens_thinking;
  std::size_t control_tokens;
};

constexpr std::array<Family, 6> kFamilies = {{
    {Encoding::chatml, "", false, false, false, kWithoutTools},
    {Encoding::qwen2, "You are a helpful assistant.", false, false, false, kWithoutTools},
    {Encoding::qwen2_5, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", true, false, false,
     kWithoutThinking},
    {Encoding::qwen3, "", true, true, false, kControlTokens.size()},
    {Encoding::qwen3_thinking, "", true, true, true, kControlTokens.size()},
    {Encoding::smollm2, "You are a helpful AI assistant named SmolLM, trained by Hugging Face", false, false, false,
     kWithoutTools},
}};

// Qwen3 shows the thinking of the turns after the last real question; a user message that holds a tool's
// response is no question. Without any question every turn counts as before it.
std::size_t last_query(std::span<const Message> messages) {
  for (std::size_t i = messages.size(); i-- > 0;) {
    const Message& message = messages[i];
    if (message.role == Role::user &&
        !(message.content.starts_with("<tool_response>") && message.content.ends_with("</tool_response>"))) {
      return i;
    }
  }
  return messages.size() - 1;
}

class ChatMlEncoding final : public ChatEncoding {
 public:
  explicit ChatMlEncoding(const Family& family) : family_(family) {}

  Encoding kind() const override { return family_.kind; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    if (messages.empty() && family_.needs_messages) throw_no_messages(family_.kind);
    PromptBuilder out;
    const std::size_t first = system_turn(out, messages, options.tools);
    const std::size_t query = messages.empty() ? 0 : last_query(messages);
    for (std::size_t i = first; i < messages.size(); ++i) {
      const Message& message = messages[i];
      if (message.role == Role::tool) {
        const bool begins = i == 0 || messages[i - 1].role != Role::tool;
        const bool ends = i + 1 == messages.size() || messages[i + 1].role != Role::tool;
        tool_result(out, message, begins, ends);
        continue;
      }
      turn(out, message.role);
      if (message.role == Role::assistant) {
        assistant_turn(out, message, i > query, i + 1 == messages.size());
      } else {
        out.plain(message.content);
      }
      end_turn(out);
    }
    if (options.add_generation_prompt) {
      turn(out, Role::assistant).open_reply();
      begin_reply(out, options.thinking);
    }
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override {
    return std::span(kControlTokens).first(family_.control_tokens);
  }
  ToolFormat tool_format() const override { return ToolFormat::hermes; }
  std::string_view think_begin() const override { return family_.thinks ? kThinkBegin : std::string_view(); }
  std::string_view think_end() const override { return family_.thinks ? kThinkEnd : std::string_view(); }

 private:
  static PromptBuilder& turn(PromptBuilder& out, Role role) {
    return out.control(kStart).plain(to_string(role)).plain("\n");
  }
  static void end_turn(PromptBuilder& out) { out.control(kEnd).plain("\n"); }

  PromptBuilder& marker(PromptBuilder& out, std::string_view spelling) const {
    return out.marked(spelling, control_tokens());
  }

  /// The first message if it is the system's, else the default one, with the tools behind it. Returns how many
  /// messages that took.
  std::size_t system_turn(PromptBuilder& out, std::span<const Message> messages, std::span<const Tool> tools) const {
    const bool given = !messages.empty() && messages.front().role == Role::system;
    const std::string_view said = given ? std::string_view(messages.front().content)
                                        : (messages.empty() ? std::string_view() : family_.default_system);
    if (!given && said.empty() && tools.empty()) return 0;
    turn(out, Role::system).plain(said);
    if (!tools.empty()) {
      // Qwen3 sets the empty line between a given system message and the tools, and none without one.
      if (given || !said.empty()) out.plain("\n\n");
      out.plain(kToolsBegin);
      for (const Tool& tool : tools) out.plain("\n").plain(tool.definition);
      out.marked(kToolsEnd, control_tokens());
    }
    end_turn(out);
    return given ? 1 : 0;
  }

  void assistant_turn(PromptBuilder& out, const Message& message, bool after_query, bool last) const {
    if (message.sampled && (after_query || !message.sampled->thought)) {
      out.replay(*message.sampled);
      return;
    }
    std::string_view content = message.content;
    if (family_.thinks) {
      const AssistantTurn parts = split_turn(message);
      content = parts.content;
      if (after_query && (last || !parts.reasoning.empty())) {
        out.control(kThinkBegin).plain("\n");
        out.plain(strip_trailing_newlines(strip_leading_newlines(parts.reasoning))).plain("\n");
        out.control(kThinkEnd).plain("\n\n").plain(strip_leading_newlines(content));
      } else {
        out.plain(content);
      }
    } else {
      out.plain(content);
    }
    bool line = !content.empty();
    for (const ToolCall& call : message.tool_calls) {
      if (line) out.plain("\n");
      line = true;
      marker(out, "<tool_call>").plain("\n{\"name\": \"").plain(call.name).plain("\", \"arguments\": ");
      marker(out.plain(arguments_object(call)).plain("}\n"), "</tool_call>");
    }
  }

  // Results of calls that were made together share one turn of the user's.
  void tool_result(PromptBuilder& out, const Message& message, bool begins, bool ends) const {
    if (begins) out.control(kStart).plain("user");
    marker(out.plain("\n"), "<tool_response>").plain("\n").plain(message.content).plain("\n");
    marker(out, "</tool_response>");
    if (ends) end_turn(out);
  }

  // `on` leaves the opening to the model where the template does: Qwen3's own switch only knows `off`.
  void begin_reply(PromptBuilder& out, Thinking thinking) const {
    if (!family_.thinks) return;
    if (thinking == Thinking::off) {
      out.skip_thinking();
    } else if (family_.opens_thinking) {
      out.open_thinking();
    }
  }

  const Family& family_;
};

}  // namespace

std::unique_ptr<ChatEncoding> make_chatml_encoding(Encoding encoding) {
  for (const Family& family : kFamilies) {
    if (family.kind == encoding) return std::make_unique<ChatMlEncoding>(family);
  }
  return nullptr;
}

}  // namespace minke::text
