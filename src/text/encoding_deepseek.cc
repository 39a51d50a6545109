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

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>", kCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>", kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kOutputsBegin = "<｜tool▁outputs▁begin｜>", kOutputsEnd = "<｜tool▁outputs▁end｜>";
constexpr std::string_view kOutputBegin = "<｜tool▁output▁begin｜>", kOutputEnd = "<｜tool▁output▁end｜>";
constexpr std::string_view kSep = "<｜tool▁sep｜>";

// The templates of V2.5, V3 and R1 print no tools; this is the form in which DeepSeek introduced them, with the
// calls' own spelled out.
constexpr std::string_view kToolsBegin = "## Tools\n\n### Function\n\nYou have the following functions available:\n\n";
constexpr std::string_view kToolsEnd =
    "\nTo call functions, write them in exactly this form, one <｜tool▁call▁begin｜> for each call, and nothing after "
    "it:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>FUNCTION_NAME\n```json\n{\"PARAMETER\": "
    "\"VALUE\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>\nThe arguments must be valid JSON.";
// V3.1's, from its model card.
constexpr std::string_view kToolsBegin31 = "\n\n## Tools\nYou have access to the following tools:\n\n";
constexpr std::string_view kToolsEnd31 =
    "IMPORTANT: ALWAYS adhere to this exact format for tool use:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
    "tool_call_name<｜tool▁sep｜>tool_call_arguments<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\n"
    "Where:\n- `tool_call_name` must be an exact match to one of the available tools\n- `tool_call_arguments` must be "
    "valid JSON that strictly follows the tool's Parameters Schema\n- For multiple tool calls, chain them directly "
    "without separators or spaces";

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
    const std::string system = system_prompt(messages, family_.joins_system);
    out.control(kBos).plain(system);
    if (!options.tools.empty()) offer(out.plain(system.empty() ? "" : "\n\n"), options.tools);
    Turns turns;
    const std::size_t question = last_user(messages);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const Message& message = messages[i];
      if (message.role == Role::user) {
        out.control(kUser).plain(message.content);
        if (family_.announces) out.control(kAssistant);
        turns.announced = family_.announces;
        turns.results = false;
      } else if (message.role == Role::assistant) {
        answer(out, message, i > question, turns);
      } else if (message.role == Role::tool) {
        result(out, message, turns);
      }
    }
    if (turns.results) out.control(kOutputsEnd);
    if (options.add_generation_prompt && !turns.results) {  // after results the model goes on without being announced
      if (!turns.announced) out.control(kAssistant);
      begin_reply(out.open_reply(), options.thinking);
    }
    if (options.add_generation_prompt) out.open_reply();
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
  std::string_view think_begin() const override { return family_.thinks ? kThinkBegin : std::string_view(); }
  std::string_view think_end() const override { return family_.thinks ? kThinkEnd : std::string_view(); }
  std::string_view advice() const override { return family_.advice; }
  ToolFormat tool_format() const override { return ToolFormat::deepseek; }

 private:
  struct Turns {
    bool announced = false;    // the last piece is <｜Assistant｜>, waiting for its answer
    bool results = false;      // tools' results wait for the answer to them
    bool first_result = true;  // of those that follow one message's calls
  };

  static std::size_t last_user(std::span<const Message> messages) {
    for (std::size_t i = messages.size(); i-- > 0;) {
      if (messages[i].role == Role::user) return i;
    }
    return messages.size();
  }

  static void offer(PromptBuilder& out, std::span<const Tool> tools) {
    out.plain(kToolsBegin);
    for (const Tool& tool : tools) {
      out.plain("- `").plain(tool.name).plain("`:\n```json\n").plain(tool.definition).plain("\n```\n");
    }
    out.marked(kToolsEnd, kControlTokens);
  }

  // Calls are written as V3's template does, with what that leaves out: the end of a single call, calls beside content,
  // and the beginning of all but the first.
  void answer(PromptBuilder& out, const Message& message, bool current, Turns& turns) const {
    if (turns.results) {
      out.control(kOutputsEnd);
    } else if (!family_.announces) {
      out.control(kAssistant);
    }
    const bool after_results = turns.results && message.tool_calls.empty();
    turns.announced = turns.results = false;
    if (!message.tool_calls.empty()) turns.first_result = true;
    if (message.sampled && (current || !message.sampled->thought)) {
      out.replay(*message.sampled).control(kEos);
      return;
    }
    const std::string_view said = message.content;
    out.plain(family_.thinks && !after_results ? after_last(said, kThinkEnd) : said);
    std::string_view begin = kCallsBegin;
    for (const ToolCall& call : message.tool_calls) {
      if (begin.empty()) {
        out.plain("\n");
      } else {
        out.control(begin);
      }
      begin = {};
      out.control(kCallBegin).plain("function").control(kSep).plain(call.name).plain("\n```json\n");
      out.plain(call.arguments).plain("\n```").control(kCallEnd);
    }
    if (!message.tool_calls.empty()) out.control(kCallsEnd);
    out.control(kEos);
  }

  static void result(PromptBuilder& out, const Message& message, Turns& turns) {
    if (turns.first_result) {
      out.control(kOutputsBegin);
    } else {
      out.plain("\n");
    }
    out.control(kOutputBegin).plain(message.content).control(kOutputEnd);
    turns.results = true;
    turns.announced = turns.first_result = false;
  }

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
    if (!options.tools.empty()) offer(out, options.tools);
    bool asked = false;    // a question waits for its answer
    bool results = false;  // tools' results do
    for (const Message& message : messages) {
      if (message.role == Role::user) {
        out.control(kUser).plain(message.content);
        asked = true;
        results = false;
      } else if (message.role == Role::assistant) {
        answer(out, message, asked, results);
        asked = results = false;
      } else if (message.role == Role::tool) {
        out.control(kOutputBegin).plain(message.content).control(kOutputEnd);
        asked = false;
        results = true;
      }
    }
    if (options.add_generation_prompt) {
      // The template adds none unless there is a question; after results the model goes on by itself.
      if (asked) out.control(kAssistant);
      out.open_reply();
      if (asked && options.thinking == Thinking::on) {
        out.begin_thinking();
      } else if (asked) {
        out.control(kThinkEnd);
      }
    }
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
  std::string_view think_begin() const override { return kThinkBegin; }
  std::string_view think_end() const override { return kThinkEnd; }

  ToolFormat tool_format() const override { return ToolFormat::deepseek_v3_1; }

 private:
  static void offer(PromptBuilder& out, std::span<const Tool> tools) {
    out.plain(kToolsBegin31);
    for (const Tool& tool : tools) {
      out.plain("### ").plain(tool.name).plain("\nDescription: ").plain(tool.description);
      out.plain("\n\nParameters: ").plain(tool.parameters).plain("\n\n");
    }
    out.marked(kToolsEnd31, kControlTokens);
  }

  static void answer(PromptBuilder& out, const Message& message, bool asked, bool results) {
    if (message.sampled && !message.sampled->thought) {
      if (asked) out.control(kAssistant);
      out.replay(*message.sampled).control(kEos);
      return;
    }
    if (asked) out.control(kAssistant).control(kThinkEnd);
    const bool kept = results || !message.tool_calls.empty();
    out.plain(kept ? std::string_view(message.content) : without_thinking(message.content));
    if (!message.tool_calls.empty()) out.control(kCallsBegin);
    for (const ToolCall& call : message.tool_calls) {
      out.control(kCallBegin).plain(call.name).control(kSep).plain(call.arguments).control(kCallEnd);
    }
    if (!message.tool_calls.empty()) out.control(kCallsEnd);
    out.control(kEos);
  }

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
    refuse_tools(kind(), messages, options);
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
        case Role::tool:  // refused above
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
