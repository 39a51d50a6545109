#include "api/responses_request.h"

#include <algorithm>
#include <string>
#include <utility>

#include <boost/json/array.hpp>

#include "api/api_error.h"
#include "api/chat_request.h"
#include "api/field_table.h"
#include "api/json_text.h"
#include "base/cat.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostTokens = std::int64_t{1} << 32;

/// Items in order: what the model wrote in one turn (thinking, text, calls) comes as an item each.
class InputReader {
 public:
  void read(const json::value& item, const std::string& place) {
    if (!item.is_object()) throw_wrong_type(place, "an object", item);
    const Fields fields(item.get_object(), place);
    const std::string_view type = fields.text("type").value_or("message");
    if (type == "message") {
      read_message(fields);
    } else if (type == "reasoning") {
      read_reasoning(fields);
    } else if (type == "function_call" || type == "custom_tool_call") {
      read_call(fields, type == "custom_tool_call");
    } else if (type == "function_call_output" || type == "custom_tool_call_output") {
      read_output(fields);
    } else if (type == "item_reference") {
      throw_unsupported(fields.place("type"), "nothing is stored: send the item itself");
    }
    // Others (calls of hosted tools, compaction) say nothing to this model.
  }

  std::vector<text::Message> messages;

 private:
  static std::string_view needed(const Fields& fields, std::string_view key) {
    const auto text = fields.text(key);
    if (!text) throw ApiError(Fault::malformed, base::cat(fields.place(key), ": missing"), fields.place(key));
    return *text;
  }

  void read_message(const Fields& fields) {
    const std::string_view name = needed(fields, "role");
    const auto role = name == "developer" ? text::Role::system : text::role_from_name(name);
    if (!role || *role == text::Role::tool)
      throw_invalid(fields.place("role"), "expected system, developer, user or assistant");
    text::Message message;
    message.role = *role;
    message.content = parse_content(fields);
    if (*role == text::Role::assistant) message.reasoning = std::exchange(reasoning_, std::nullopt);
    reasoning_.reset();
    messages.push_back(std::move(message));
  }

  void read_reasoning(const Fields& fields) {
    const json::array* parts = fields.array("content");
    if (parts == nullptr) return;  // encrypted, or a summary only: nothing that this model wrote
    std::size_t index = 0;
    for (const json::value& part : *parts) {
      const std::string place = base::cat(fields.place("content"), "[", index++, "]");
      if (!part.is_object()) throw_wrong_type(place, "an object", part);
      const auto text = Fields(part.get_object(), place).text("text");
      if (text) reasoning_ = reasoning_.value_or("") + std::string(*text);
    }
  }

  /// Beside the turn's text, if it had some.
  void read_call(const Fields& fields, bool custom) {
    text::ToolCall call;
    call.id = needed(fields, "call_id");
    call.name = known_name(fields.text("namespace").value_or(""), needed(fields, "name"));
    const std::string_view said = needed(fields, custom ? "input" : "arguments");
    call.arguments = custom ? custom_arguments(said) : std::string(said);
    if (reasoning_ || messages.empty() || messages.back().role != text::Role::assistant) {
      messages.push_back(
          {.role = text::Role::assistant, .content = {}, .reasoning = std::exchange(reasoning_, std::nullopt)});
    }
    messages.back().tool_calls.push_back(std::move(call));
  }

  void read_output(const Fields& fields) {
    text::Message result;
    result.role = text::Role::tool;
    result.tool_call_id = needed(fields, "call_id");
    result.content = parse_content(fields, "output");
    messages.push_back(std::move(result));
  }

  std::optional<std::string> reasoning_;
};

std::vector<text::Message> messages_of(const Fields& request) {
  InputReader reader;
  if (const auto instructions = request.text("instructions"); instructions && !instructions->empty()) {
    reader.messages.push_back({.role = text::Role::system, .content = std::string(*instructions), .reasoning = {}});
  }
  const json::value* input = request.find("input");
  if (input == nullptr) throw ApiError(Fault::malformed, "input: missing", "input");
  if (input->is_string()) {
    reader.messages.push_back(
        {.role = text::Role::user, .content = std::string(text::view(input->get_string())), .reasoning = {}});
    return std::move(reader.messages);
  }
  if (!input->is_array()) throw_wrong_type("input", "a string or an array of items", *input);
  std::size_t index = 0;
  for (const json::value& item : input->get_array()) reader.read(item, base::cat("input[", index++, "]"));
  if (reader.messages.empty()) throw_invalid("input", "expected at least one message");
  return std::move(reader.messages);
}

std::optional<std::size_t> logprobs_of(const Fields& request) {
  const auto top = request.integer("top_logprobs", 0, static_cast<std::int64_t>(engine::kMaxTopLogprobs));
  const json::array* include = request.array("include");
  const bool wanted = include != nullptr && std::any_of(include->begin(), include->end(), [](const json::value& one) {
                        return one.is_string() && one.get_string() == "message.output_text.logprobs";
                      });
  if (!wanted) return std::nullopt;
  return static_cast<std::size_t>(top.value_or(0));
}

Effort effort_of(const Fields& request) {
  const auto reasoning = request.object("reasoning");
  if (!reasoning) return {};
  const auto effort = reasoning->text("effort");
  return effort ? parse_effort(*effort, reasoning->place("effort")) : Effort();
}

json::object echo_of(const Fields& request) {
  const auto given = [&](std::string_view key) {
    const json::value* value = request.find(key);
    return value == nullptr ? json::value(nullptr) : *value;
  };
  json::object echo;
  for (const std::string_view key : {"instructions", "max_output_tokens", "temperature", "top_p", "user"}) {
    echo[json::string_view(key.data(), key.size())] = given(key);
  }
  const auto reasoning = request.object("reasoning");
  const auto effort = reasoning ? reasoning->text("effort") : std::nullopt;
  echo["reasoning"] =
      json::object{{"effort", effort ? json_text(*effort) : json::value(nullptr)}, {"summary", nullptr}};
  echo["metadata"] = request.object("metadata") ? given("metadata") : json::value(json::object());
  const auto text = request.object("text");
  const auto format = text ? text->object("format") : std::nullopt;
  echo["text"] = json::object{{"format", format ? *text->find("format") : json::value(json::object{{"type", "text"}})}};
  const json::value* choice = request.find("tool_choice");
  echo["tool_choice"] = choice != nullptr ? *choice : json::value("auto");
  echo["tools"] = request.array("tools") != nullptr ? given("tools") : json::value(json::array());
  echo["parallel_tool_calls"] = request.flag("parallel_tool_calls").value_or(true);
  echo["truncation"] = "disabled";
  echo["store"] = false;
  echo["previous_response_id"] = nullptr;
  return echo;
}

}  // namespace

ResponsesRequest parse_responses_request(const Fields& request) {
  refuse_fields(request, responses_rules());
  ResponsesRequest out;
  const auto model = request.text("model");
  if (!model || model->empty()) {
    throw ApiError(Fault::malformed, "model: missing; GET /v1/models lists the names", "model");
  }
  out.common.model = *model;
  out.common.stream = request.flag("stream").value_or(false);
  if (const auto most = request.integer("max_output_tokens", 1, kMostTokens)) {
    out.common.max_tokens = static_cast<std::size_t>(*most);
  }
  out.common.temperature = request.number("temperature", 0, 2);
  out.common.top_p = request.number("top_p", 0, 1);
  out.common.user = request.text("user").value_or("");
  out.logprobs = logprobs_of(request);
  const Effort effort = effort_of(request);
  out.thinking = effort.thinking;
  out.common.thinking_tokens = effort.tokens;
  out.common.format = parse_text_format(request);
  out.tools = parse_responses_tools(request);
  out.messages = messages_of(request);
  order_results(out.messages);
  out.echo = echo_of(request);
  if (!out.tools.warnings.empty()) {
    json::array warnings;
    for (const std::string& warning : out.tools.warnings) warnings.emplace_back(json_bytes(warning));
    out.echo["warnings"] = std::move(warnings);
  }
  return out;
}

}  // namespace minke::api
