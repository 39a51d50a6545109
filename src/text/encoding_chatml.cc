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
constexpr std::size_t kWithoutTools = 3;     // plain ChatML, SmolLM2, Qwen2
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
    if (!messages.empty() && messages.front().role != Role::system && !family_.default_system.empty()) {
      turn(out, Role::system).plain(family_.default_system);
      end_turn(out);
    }
    const std::size_t query = messages.empty() ? 0 : last_query(messages);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      turn(out, messages[i].role);
      if (family_.thinks && messages[i].role == Role::assistant) {
        thinking_turn(out, messages[i], i > query, i + 1 == messages.size());
      } else {
        out.plain(messages[i].content);
      }
      end_turn(out);
    }
    if (options.add_generation_prompt) {
      turn(out, Role::assistant);
      begin_reply(out, options.thinking);
    }
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override {
    return std::span(kControlTokens).first(family_.control_tokens);
  }
  std::string_view think_begin() const override { return family_.thinks ? kThinkBegin : std::string_view(); }
  std::string_view think_end() const override { return family_.thinks ? kThinkEnd : std::string_view(); }

 private:
  static PromptBuilder& turn(PromptBuilder& out, Role role) {
    return out.control(kStart).plain(to_string(role)).plain("\n");
  }
  static void end_turn(PromptBuilder& out) { out.control(kEnd).plain("\n"); }

  static void thinking_turn(PromptBuilder& out, const Message& message, bool after_query, bool last) {
    const AssistantTurn parts = split_turn(message);
    if (!after_query || (!last && parts.reasoning.empty())) {
      out.plain(parts.content);
      return;
    }
    out.control(kThinkBegin).plain("\n");
    out.plain(strip_trailing_newlines(strip_leading_newlines(parts.reasoning))).plain("\n");
    out.control(kThinkEnd).plain("\n\n").plain(strip_leading_newlines(parts.content));
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
