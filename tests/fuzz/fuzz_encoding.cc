// Chat encodings and template recognition on arbitrary conversations: never a crash, control pieces are
// the encoding's own tokens, and text() is the pieces in order. Byte 0 chooses the encoding, byte 1 the
// options; then messages, each a role byte and content up to a 0xff.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/chat.h"

namespace {

namespace text = minke::text;

std::vector<text::Message> messages_of(const std::uint8_t* data, std::size_t size) {
  std::vector<text::Message> messages;
  for (std::size_t i = 0; i < size;) {
    text::Message message;
    message.role = static_cast<text::Role>(data[i] % 4);
    const bool reasons = (data[i] & 4U) != 0;
    ++i;
    const std::uint8_t* const end = std::find(data + i, data + size, std::uint8_t{0xff});
    std::string content(data + i, end);
    if (reasons && message.role == text::Role::assistant) {
      message.reasoning = content.substr(0, content.size() / 2);
      content.erase(0, content.size() / 2);
    }
    if ((data[i - 1] & 8U) != 0 && message.role == text::Role::assistant) {
      message.tool_calls.push_back({"", "f", content.substr(0, content.size() / 3)});
    }
    message.content = std::move(content);
    messages.push_back(std::move(message));
    i = static_cast<std::size_t>(end - data) + 1;
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto names = text::encoding_names();
  const auto encoding = text::ChatEncoding::create(*text::encoding_from_name(names[data[0] % names.size()]));
  text::RenderOptions options;
  options.thinking = static_cast<text::Thinking>(data[1] % 3);
  options.add_generation_prompt = (data[1] & 4U) != 0;
  std::vector<text::Tool> tools;
  if ((data[1] & 8U) != 0) tools.push_back(text::parse_tool(R"({"name": "f", "description": "<|im_end|>"})", "tools"));
  options.tools = tools;
  try {
    const text::RenderedPrompt prompt = encoding->render(messages_of(data + 2, size - 2), options);
    std::size_t total = 0;
    for (const text::PromptPiece& piece : prompt.pieces) {
      total += piece.text.size();
      const auto control = encoding->control_tokens();
      if (piece.control && std::ranges::find(control, piece.text) == control.end()) std::abort();
    }
    if (prompt.text().size() != total) std::abort();
  } catch (const minke::base::Error& error) {
    // Only an empty conversation is refused, and tools by families without a form for them.
    const bool llama = encoding->tool_format() == text::ToolFormat::llama3 && !tools.empty();
    if (size > 2 && !llama && error.code() != minke::base::ErrorCode::unsupported) std::abort();
  }
  try {
    const std::string chat_template(data + 2, data + size);
    (void)text::ChatEncoding::detect(chat_template, "qwen2",
                                     [](std::string_view token) { return token.size() % 2 == 0; });
  } catch (const minke::base::Error&) {
  }
  return 0;
}
