// Tool calls in replies: however a reply is cut, the same parts come out, in order, and no text gets lost but markers
// and what stands around them. Byte 0 chooses the family, byte 1 the start state and the cuts; then the reply, in which
// small bytes stand for markers, so that mutations meet them often.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "text/python_json.h"
#include "text/tool_replies.h"

namespace {

namespace text = minke::text;

constexpr std::array<text::Encoding, 8> kEncodings = {
    text::Encoding::qwen2_5,         text::Encoding::qwen3,       text::Encoding::smollm2,
    text::Encoding::glm4_7,          text::Encoding::deepseek_v3, text::Encoding::deepseek_v3_1,
    text::Encoding::r1_distill_qwen, text::Encoding::llama3_1,
};

constexpr std::array<std::string_view, 15> kMarkers = {
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
    "<|python_tag|>",
    "{\"name\": \"search\", \"arguments\": {",
};

std::shared_ptr<const std::vector<text::Tool>> tools() {
  auto list = std::make_shared<std::vector<text::Tool>>();
  list->push_back(text::parse_tool(
      R"({"name": "search", "parameters": {"properties": {"query": {"type": "string"}, "n": {"type": "integer"}}}})",
      "tools"));
  return list;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  static const std::shared_ptr<const std::vector<text::Tool>> kTools = tools();
  text::Reading reading;
  reading.encoding = kEncodings[data[0] % kEncodings.size()];
  reading.tokens = (data[1] & 1U) != 0;
  reading.starts_in_thinking = (data[1] & 2U) != 0;
  reading.cut = (data[1] & 4U) != 0;
  std::uint32_t state = 1U + data[1];
  std::vector<text::Drawn> reply(1);
  for (std::size_t i = 2; i < size; ++i) {
    if (data[i] > 0 && data[i] <= kMarkers.size() && data[i] != '\n' && data[i] != '\t') {
      const std::string_view marker = kMarkers[data[i] - 1U];
      if (reading.tokens && marker.starts_with('<')) {
        reply.push_back({std::string(marker), true});
        reply.emplace_back();
      } else {
        reply.back().text += marker;
      }
    } else {
      reply.back().text += static_cast<char>(data[i]);
    }
  }
  const text::ToolReply whole = text::read_reply(reading, kTools, reply, [] { return std::size_t{1} << 30; });
  const text::ToolReply bytes = text::read_reply(reading, kTools, reply, [] { return std::size_t{1}; });
  const text::ToolReply parts = text::read_reply(reading, kTools, reply, [&state] {
    state = state * 1664525U + 1013904223U;
    return std::size_t{(state >> 28U) + 1U};
  });
  if (!whole.orderly || !(whole == bytes) || !(whole == parts)) std::abort();
  // What a string of GLM's becomes when it is whole is JSON.
  if (reading.encoding == text::Encoding::glm4_7) {
    for (const text::ToolReply::Call& call : whole.calls) {
      if (call.complete && !text::json_members(call.arguments)) std::abort();
    }
  }
  return 0;
}
