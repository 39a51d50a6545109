// Llama-3's headers, and the dated system header that 3.1 put before them.
// Sources: the chat_template of Meta-Llama-3-8B-Instruct, Llama-3.1-8B-Instruct and Llama-3.2-3B-Instruct;
// docs/encodings.md says how each is held.
#include <array>

#include "text/encoding_builder.h"

namespace minke::text {
namespace {

constexpr std::string_view kBos = "<|begin_of_text|>";
constexpr std::string_view kHeaderBegin = "<|start_header_id|>";
constexpr std::string_view kHeaderEnd = "<|end_header_id|>";
constexpr std::string_view kEndOfTurn = "<|eot_id|>";
constexpr std::string_view kFixedDate = "26 Jul 2024";

constexpr std::array<std::string_view, 3> kEndTokens = {kEndOfTurn, "<|end_of_text|>", "<|eom_id|>"};
constexpr std::array<std::string_view, 7> kControlTokens = {
    kBos, kHeaderBegin, kHeaderEnd, kEndOfTurn, "<|end_of_text|>", "<|eom_id|>", "<|python_tag|>"};

class Llama3Encoding final : public ChatEncoding {
 public:
  explicit Llama3Encoding(Encoding kind) : kind_(kind), dated_(kind == Encoding::llama3_1) {}

  Encoding kind() const override { return kind_; }

  RenderedPrompt render(std::span<const Message> messages, const RenderOptions& options) const override {
    if (messages.empty() && dated_) throw_no_messages(kind_);
    PromptBuilder out;
    if (!messages.empty()) out.control(kBos);  // 3.0 writes BOS with the first message
    if (dated_) {
      const bool has_system = messages.front().role == Role::system;
      header(out, Role::system).plain("Cutting Knowledge Date: December 2023\nToday Date: ");
      out.plain(options.date.empty() ? kFixedDate : std::string_view(options.date)).plain("\n\n");
      if (has_system) out.plain(python_strip(messages.front().content));
      out.control(kEndOfTurn);
      messages = messages.subspan(has_system ? 1 : 0);
    }
    for (const Message& message : messages) {
      header(out, message.role).plain(python_strip(message.content)).control(kEndOfTurn);
    }
    if (options.add_generation_prompt) header(out, Role::assistant);
    return out.take();
  }

  std::span<const std::string_view> end_tokens() const override { return kEndTokens; }
  std::span<const std::string_view> control_tokens() const override { return kControlTokens; }

 private:
  static PromptBuilder& header(PromptBuilder& out, Role role) {
    return out.control(kHeaderBegin).plain(to_string(role)).control(kHeaderEnd).plain("\n\n");
  }

  Encoding kind_;
  bool dated_;
};

}  // namespace

std::unique_ptr<ChatEncoding> make_llama3_encoding(Encoding encoding) {
  return std::make_unique<Llama3Encoding>(encoding);
}

}  // namespace minke::text
