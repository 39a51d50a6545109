// DeepSeek's own prompts: BOS, the system prompt bare, then turns without separators; before V2.5, "User:"
// and "Assistant:" in plain text.
// Sources: the chat_template of DeepSeek LLM, V2, V2.5, V3, R1, V3.1, R1-Distill-Qwen-*/-Llama-* (first and
// later form) and R1-0528-Qwen3-8B; docs/encodings.md says how each is held.
#include <array>

#include "text/encoding_builder.h"

namespace minke::text {
namespace {

constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
constexpr std::string_view kUser = "<｜User｜>";
constexpr std::string_view kAssistant = "<｜Assistant｜>";

constexpr std::array<std::string_view, 1> kEndTokens = {kEos};
constexpr std::array<std::string_view, 20> kControlTokens = {kBos,
                                                             kEos,
                                                             kUser,
                                                             kAssistant,
                                                             kThinkBegin,
                                                             kThinkEnd,
                                                             "<｜tool▁calls▁begin｜>",
                                                             "<｜tool▁calls▁end｜>",
                                                             "<｜tool▁call▁begin｜>",
                                                             "<｜tool▁call▁end｜>",
                                                             "<｜tool▁outputs▁begin｜>",
                                                             "<｜tool▁outputs▁end｜>",
                                                             "<｜tool▁output▁begin｜>",
                                                             "<｜tool▁output▁end｜>",
                                                             "<｜tool▁sep｜>",
                                                             "<｜fim▁begin｜>",
                                                             "<｜fim▁hole｜>",
                                                             "<｜fim▁end｜>",
                                                             "<｜search▁begin｜>",
                                                             "<｜search▁end｜>"};

constexpr std::string_view kR1Advice =
    "DeepSeek advises R1 to be used without a system prompt (put all instructions into the user's message), "
    "at temperature 0.6 and top-p 0.95";
constexpr std::string_view kDistillAdvice =
    "DeepSeek advises R1 distills to be used without a system prompt: put all instructions into the user's message";

struct Family {
  Encoding kind;
  bool joins_system;    // all system messages with an empty line between; else the last one counts
  bool thinks;          // stored answers lose everything up to the last "</think>"
  bool opens_thinking;  // the generation prompt ends in "<think>\n"
  bool announces;       // "<｜Assistant｜>" stands right after each question
  // V2.5's template lets the eight spaces of its indentation through, once for each system message.
  std::string_view before_bos;
  std::string_view advice;
};

constexpr std::array<Family, 7> kFamilies = {{
    {Encoding::r1_distill_qwen, false, true, true, false, "", kDistillAdvice},
    {Encoding::r1_distill_llama, false, true, true, false, "", kDistillAdvice},
    {Encoding::r1_distill_original, false, true, false, false, "", kDistillAdvice},
    {Encoding::r1_0528_qwen3, true, true, false, true, "", ""},
    {Encoding::deepseek_v2_5, false, false, false, false, "        ", ""},
    {Encoding::deepseek_v3, true, false, false, false, "", ""},
    {Encoding::deepseek_r1, true, true, true, false, "", kR1Advice},
}};

// Wherever the system messages stand.
std::string system_prompt(std::span<const Message> messages, bool joined) {
  std::string prompt;
  bool first = true;
  for (const Message& message : messages) {
    if (message.role != Role::system) continue;
    if (!joined) {
      prompt = message.content;
    } else {
      if (!first) prompt.append("\n\n");
      prompt.append(message.content);
    }
    first = false;
  }
  return prompt;
}

class TurnEncoding final : public ChatEncoding {
 public:
  explicit TurnEncoding(const Family& family) : family_(family) {}

  Encoding kind() const override { return family_.kind; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    PromptBuilder out;
    for (const Message& message : messages) {
      if (message.role == Role::system) out.plain(family_.before_bos);
    }
    out.control(kBos).plain(system_prompt(messages, family_.joins_system));
    bool announced = false;  // the last piece is <｜Assistant｜>, waiting for its answer
    for (const Message& message : messages) {
      if (message.role == Role::user) {
        out.control(kUser).plain(message.content);
        if (family_.announces) out.control(kAssistant);
        announced = family_.announces;
      } else if (message.role == Role::assistant) {
        if (!family_.announces) out.control(kAssistant);
        const std::string_view answer = message.content;
        out.plain(family_.thinks ? after_last(answer, kThinkEnd) : answer).control(kEos);
        announced = false;
      }
    }
    if (options.add_generation_prompt) {
      if (!announced) out.control(kAssistant);
      begin_reply(out, options.thinking);
    }
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
  std::string_view think_begin() const override { return family_.thinks ? kThinkBegin : std::string_view(); }
  std::string_view think_end() const override { return family_.thinks ? kThinkEnd : std::string_view(); }
  std::string_view advice() const override { return family_.advice; }

 private:
  // The templates know no switch: `off` skips thinking with an empty block, the way Qwen3 does it.
  void begin_reply(PromptBuilder& out, Thinking thinking) const {
    if (!family_.thinks) return;
    if (thinking == Thinking::off) {
      out.skip_thinking();
    } else if (thinking == Thinking::on || family_.opens_thinking) {
      out.open_thinking();
    }
  }

  const Family& family_;
};

// Every answer begins with "</think>", an answer to come with "<think>" if it shall think.
class V31Encoding final : public ChatEncoding {
 public:
  Encoding kind() const override { return Encoding::deepseek_v3_1; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    PromptBuilder out;
    out.control(kBos).plain(system_prompt(messages, true));
    bool asked = false;  // a question waits for its answer
    for (const Message& message : messages) {
      if (message.role == Role::user) {
        out.control(kUser).plain(message.content);
        asked = true;
      } else if (message.role == Role::assistant) {
        if (asked) out.control(kAssistant).control(kThinkEnd);
        asked = false;
        out.plain(without_thinking(message.content)).control(kEos);
      }
    }
    // The template adds none unless there is a question.
    if (options.add_generation_prompt && asked) {
      out.control(kAssistant);
      if (options.thinking == Thinking::on) {
        out.begin_thinking();
      } else {
        out.control(kThinkEnd);
      }
    }
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
  std::string_view think_begin() const override { return kThinkBegin; }
  std::string_view think_end() const override { return kThinkEnd; }

 private:
  // Up to the first "</think>", where R1 drops up to the last.
  static std::string_view without_thinking(std::string_view answer) {
    const std::size_t at = answer.find(kThinkEnd);
    return at == std::string_view::npos ? answer : answer.substr(at + kThinkEnd.size());
  }
};

// DeepSeek LLM and V2: the roles are words, only BOS and EOS are tokens.
class PlainTextEncoding final : public ChatEncoding {
 public:
  Encoding kind() const override { return Encoding::deepseek_llm; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    PromptBuilder out;
    out.control(kBos);
    for (const Message& message : messages) {
      switch (message.role) {
        case Role::system:
          out.plain(message.content).plain("\n\n");
          break;
        case Role::user:
          out.plain("User: ").plain(message.content).plain("\n\n");
          break;
        case Role::assistant:
          out.plain("Assistant: ").plain(message.content).control(kEos);
          break;
      }
    }
    if (options.add_generation_prompt) out.plain("Assistant:");
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
};

}  // namespace

std::unique_ptr<ChatEncoding> make_deepseek_encoding(Encoding encoding) {
  if (encoding == Encoding::deepseek_llm) return std::make_unique<PlainTextEncoding>();
  if (encoding == Encoding::deepseek_v3_1) return std::make_unique<V31Encoding>();
  for (const Family& family : kFamilies) {
    if (family.kind == encoding) return std::make_unique<TurnEncoding>(family);
  }
  return nullptr;
}

}  // namespace minke::text
