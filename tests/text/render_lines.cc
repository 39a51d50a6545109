// Renders conversations for comparison with a reference: a JSON request a line on stdin, a JSON answer a
// line on stdout.
//   {"encoding": "qwen3", "messages": [{"role", "content", "reasoning_content"?, "tool_calls"?: [{"name",
//    "arguments": JSON text}]}], "tools"?: [JSON text], "add_generation_prompt"?, "enable_thinking"?, "date"?}
//   -> {"text": "..."} or {"error": "code", "message": "..."}; with a tokenizer.json as argument also "ids"
//   {"template": "...", "architecture": "...", "tokens": [...]} -> {"encoding": "...", "warning": "..."}
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "base/error.h"
#include "text/chat.h"

namespace {

namespace json = boost::json;
using minke::base::Error;
using minke::base::ErrorCode;
using minke::text::ChatEncoding;

std::string text_of(const json::value& value) { return std::string(value.as_string()); }

minke::text::Message message_of(const json::object& object) {
  minke::text::Message message;
  const auto role = minke::text::role_from_name(text_of(object.at("role")));
  if (!role) throw Error(ErrorCode::invalid_argument, "role: unknown");
  message.role = *role;
  message.content = text_of(object.at("content"));
  if (const json::value* reasoning = object.if_contains("reasoning_content")) message.reasoning = text_of(*reasoning);
  if (const json::value* calls = object.if_contains("tool_calls")) {
    for (const json::value& call : calls->as_array()) {
      message.tool_calls.push_back(
          {"", text_of(call.as_object().at("name")), text_of(call.as_object().at("arguments"))});
    }
  }
  return message;
}

json::object render(const json::object& request, minke::text::Tokenizer* tokenizer) {
  const auto encoding = minke::text::encoding_from_name(text_of(request.at("encoding")));
  if (!encoding) throw Error(ErrorCode::invalid_argument, "encoding: unknown");
  std::vector<minke::text::Message> messages;
  for (const json::value& message : request.at("messages").as_array()) {
    messages.push_back(message_of(message.as_object()));
  }
  minke::text::RenderOptions options;
  if (const json::value* add = request.if_contains("add_generation_prompt"))
    options.add_generation_prompt = add->as_bool();
  if (const json::value* think = request.if_contains("enable_thinking")) {
    options.thinking = think->as_bool() ? minke::text::Thinking::on : minke::text::Thinking::off;
  }
  if (const json::value* date = request.if_contains("date")) options.date = text_of(*date);
  std::vector<minke::text::Tool> tools;
  if (const json::value* offered = request.if_contains("tools")) {
    for (const json::value& tool : offered->as_array())
      tools.push_back(minke::text::parse_tool(text_of(tool), "tools"));
  }
  options.tools = tools;
  const auto chat = ChatEncoding::create(*encoding);
  const minke::text::RenderedPrompt prompt = chat->render(messages, options);
  json::object answer = {{"text", prompt.text()}};
  if (tokenizer != nullptr) {
    chat->mark_control(*tokenizer);
    const std::vector<minke::text::TokenId> ids = prompt.encode(*tokenizer);
    answer["ids"] = json::array(ids.begin(), ids.end());
  }
  return answer;
}

json::object detect(const json::object& request) {
  std::vector<std::string> tokens;
  for (const json::value& token : request.at("tokens").as_array()) tokens.push_back(text_of(token));
  const auto detected = ChatEncoding::detect(
      text_of(request.at("template")), text_of(request.at("architecture")),
      [&tokens](std::string_view token) { return std::ranges::find(tokens, token) != tokens.end(); });
  return {{"encoding", minke::text::to_string(detected.encoding->kind())}, {"warning", detected.warning}};
}

json::object answer(const std::string& line, minke::text::Tokenizer* tokenizer) {
  try {
    const json::value parsed = json::parse(line);
    const json::object& request = parsed.as_object();
    return request.contains("template") ? detect(request) : render(request, tokenizer);
  } catch (const Error& error) {
    return {{"error", minke::base::to_string(error.code())}, {"message", error.message()}};
  } catch (const std::exception& error) {
    return {{"error", "bad_request"}, {"message", error.what()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::unique_ptr<minke::text::Tokenizer> tokenizer;
  if (argc > 1) {
    std::ifstream in(argv[1], std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    try {
      tokenizer = minke::text::Tokenizer::from_json(text, argv[1]);
    } catch (const Error& error) {
      std::cerr << error.message() << '\n';
      return 1;
    }
  }
  std::string line;
  while (std::getline(std::cin, line)) std::cout << json::serialize(answer(line, tokenizer.get())) << '\n';
  return 0;
}
