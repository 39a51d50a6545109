// Llama-3's headers, and the dated system header that 3.1 put before them.
// Sources: the chat_template of Meta-Llama-3-8B-Instruct, Llama-3.1-8B-Instruct and Llama-3.2-3B-Instruct;
// docs/encodings.md says how each is held.
#include <array>

#include "base/error.h"
#include "text/encoding_builder.h"
#include "text/python_json.h"

namespace minke::text {
namespace {

constexpr std::string_view kBos = "<|begin_of_text|>";
constexpr std::string_view kHeaderBegin = "<|start_header_id|>";
constexpr std::string_view kHeaderEnd = "<|end_header_id|>";
constexpr std::string_view kEndOfTurn = "<|eot_id|>";
constexpr std::string_view kFixedDate = "26 Jul 2024";
constexpr std::string_view kSystem = "system", kAssistant = "assistant", kIpython = "ipython";
constexpr std::string_view kToolsBegin =
    "Given the following functions, please respond with a JSON for a function call with its proper arguments that best "
    "answers the given prompt.\n\nRespond in the format {\"name\": function name, \"parameters\": dictionary of "
    "argument name and its value}.Do not use variables.\n\n";

constexpr std::array<std::string_view, 3> kEndTokens = {kEndOfTurn, "<|end_of_text|>", "<|eom_id|>"};
constexpr std::array<std::string_view, 7> kControlTokens = {
    kBos, kHeaderBegin, kHeaderEnd, kEndOfTurn, "<|end_of_text|>", "<|eom_id|>", "<|python_tag|>"};

class Llama3Encoding final : public ChatEncoding {
 public:
  explicit Llama3Encoding(Encoding kind) : kind_(kind), dated_(kind == Encoding::llama3_1) {}

  Encoding kind() const override { return kind_; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    if (messages.empty() && dated_) throw_no_messages(kind_);
    if (!dated_) refuse_tools(kind_, messages, options);
    PromptBuilder out;
    if (!messages.empty()) out.control(kBos);  // 3.0 writes BOS with the first message
    if (dated_) {
      const bool has_system = messages.front().role == Role::system;
      header(out, kSystem);
      if (!options.tools.empty()) out.plain("Environment: ipython\n");
      out.plain("Cutting Knowledge Date: December 2023\nToday Date: ");
      out.plain(options.date.empty() ? kFixedDate : std::string_view(options.date)).plain("\n\n");
      if (has_system) out.plain(python_strip(messages.front().content));
      out.control(kEndOfTurn);
      messages = messages.subspan(has_system ? 1 : 0);
    }
    if (!options.tools.empty()) {
      first_question(out, messages, options.tools);
      messages = messages.subspan(1);
    }
    for (const Message& message : messages) {
      if (message.role == Role::tool) {
        header(out, kIpython).plain(quoted(message.content));
      } else if (message.sampled) {
        header(out, kAssistant).replay(*message.sampled);
      } else if (!message.tool_calls.empty()) {
        call(out, message.tool_calls);
      } else {
        header(out, to_string(message.role)).plain(python_strip(message.content));
      }
      out.control(kEndOfTurn);
    }
    if (options.add_generation_prompt) header(out, kAssistant).open_reply();
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }
  ToolFormat tool_format() const override { return dated_ ? ToolFormat::llama3 : ToolFormat::none; }

 private:
  static PromptBuilder& header(PromptBuilder& out, std::string_view role) {
    return out.control(kHeaderBegin).plain(role).control(kHeaderEnd).plain("\n\n");
  }

  // The tools stand before the first message's own words, whoever says it.
  static void first_question(PromptBuilder& out, std::span<const Message> messages, std::span<const Tool> tools) {
    if (messages.empty()) {
      throw base::Error(
          base::ErrorCode::invalid_argument,
          "messages: expected a user's message, for the llama3.1 encoding puts the tools into it, got none");
    }
    header(out, "user").plain(kToolsBegin);
    for (const Tool& tool : tools) {
      out.plain(python_json(tool.definition, 4).value_or(tool.definition)).plain("\n\n");
    }
    out.plain(python_strip(messages.front().content)).control(kEndOfTurn);
  }

  static void call(PromptBuilder& out, const std::vector<ToolCall>& calls) {
    if (calls.size() != 1) {
      throw base::Error(
          base::ErrorCode::invalid_argument,
          base::cat("tool_calls: the llama3.1 encoding has room for one call a message, got ", calls.size()));
    }
    header(out, kAssistant).plain("{\"name\": \"").plain(calls[0].name).plain("\", \"parameters\": ");
    out.plain(arguments_object(calls[0])).plain("}");
  }

  // Results are printed as JSON strings: the template calls every text a list of characters.
  static std::string quoted(std::string_view text) {
    std::string json = "\"";
    append_json_escaped(json, text);
    return json + "\"";
  }

  Encoding kind_;
  bool dated_;
};

}  // namespace

std::unique_ptr<ChatEncoding> make_llama3_encoding(Encoding encoding) {
  return std::make_unique<Llama3Encoding>(encoding);
}

}  // namespace minke::text
