#include "api/messages_request.h"

#include <limits>
#include <utility>

#include <boost/json/serialize.hpp>

#include "api/api_error.h"
#include "api/field_table.h"
#include "base/cat.h"
#include "base/quote.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostTokens = std::int64_t{1} << 32;
/// Claude Code puts a block that begins like this, different in each request, before its system prompt. It says nothing
/// to a model, and no prefix of the prompt would be found again behind it.
constexpr std::string_view kBillingMark = "x-anthropic-billing-header";

text::ToolCall call_of(const Fields& fields) {
  const auto id = fields.text("id"), name = fields.text("name");
  if (!id) throw ApiError(Fault::malformed, base::cat(fields.place("id"), ": missing"), fields.place("id"));
  if (!name) throw ApiError(Fault::malformed, base::cat(fields.place("name"), ": missing"), fields.place("name"));
  const json::value* input = fields.find("input");
  return {std::string(*id), std::string(*name), input != nullptr ? std::string(json::serialize(*input)) : "{}"};
}

/// One block's part in a turn; a tool's result becomes a message of its own, in `results`.
void add_block(const json::value& block, const std::string& place, text::Message& message,
               std::vector<text::Message>* results);

void add_content(const Fields& message, std::string_view key, text::Message& out, std::vector<text::Message>* results);

text::Message result_of(const Fields& fields) {
  text::Message result;
  result.role = text::Role::tool;
  const auto id = fields.text("tool_use_id");
  if (!id) {
    throw ApiError(Fault::malformed, base::cat(fields.place("tool_use_id"), ": missing"), fields.place("tool_use_id"));
  }
  result.tool_call_id = *id;
  if (fields.find("content") != nullptr) add_content(fields, "content", result, nullptr);
  return result;
}

void add_block(const json::value& block, const std::string& place, text::Message& message,
               std::vector<text::Message>* results) {
  if (!block.is_object()) throw_wrong_type(place, "an object", block);
  const Fields fields(block.get_object(), place);
  const std::string_view type = fields.text("type").value_or("");
  if (type == "text") {
    const auto text = fields.text("text");
    if (!text) throw ApiError(Fault::malformed, base::cat(place, ".text: missing"), base::cat(place, ".text"));
    message.content += *text;
  } else if (type == "thinking" && message.role == text::Role::assistant) {
    message.reasoning = message.reasoning.value_or("") + std::string(fields.text("thinking").value_or(""));
  } else if (type == "redacted_thinking" && message.role == text::Role::assistant) {
    // Only who wrote it can read it.
  } else if (type == "tool_use" && message.role == text::Role::assistant) {
    message.tool_calls.push_back(call_of(fields));
  } else if (type == "tool_result" && message.role == text::Role::user && results != nullptr) {
    results->push_back(result_of(fields));
  } else {
    throw_unsupported(fields.place("type"),
                      base::cat("expected \"text\", got ", base::quote_name(type), "; the model reads text only"));
  }
}

void add_content(const Fields& message, std::string_view key, text::Message& out, std::vector<text::Message>* results) {
  const json::value* content = message.find(key);
  const std::string place = message.place(key);
  if (content == nullptr) throw ApiError(Fault::malformed, base::cat(place, ": missing"), place);
  if (content->is_string()) {
    out.content = text::view(content->get_string());
    return;
  }
  if (!content->is_array()) throw_wrong_type(place, "a string or an array of blocks", *content);
  std::size_t index = 0;
  for (const json::value& block : content->get_array()) {
    add_block(block, base::cat(place, "[", index++, "]"), out, results);
  }
}

std::string system_of(const Fields& request) {
  const json::value* system = request.find("system");
  if (system == nullptr) return {};
  if (system->is_string()) return std::string(text::view(system->get_string()));
  if (!system->is_array()) throw_wrong_type("system", "a string or an array of blocks", *system);
  std::string all;
  std::size_t index = 0;
  for (const json::value& block : system->get_array()) {
    text::Message part{.role = text::Role::system, .content = {}, .reasoning = {}};
    add_block(block, base::cat("system[", index++, "]"), part, nullptr);
    if (part.content.starts_with(kBillingMark)) continue;
    if (!all.empty()) all += "\n\n";
    all += part.content;
  }
  return all;
}

std::vector<text::Message> messages_of(const Fields& request) {
  std::vector<text::Message> messages;
  if (std::string system = system_of(request); !system.empty()) {
    messages.push_back({.role = text::Role::system, .content = std::move(system), .reasoning = {}});
  }
  const json::array* array = request.array("messages");
  if (array == nullptr) throw ApiError(Fault::malformed, "messages: missing", "messages");
  if (array->empty()) throw_invalid("messages", "expected at least one message");
  std::size_t index = 0;
  for (const json::value& entry : *array) {
    const std::string place = base::cat("messages[", index++, "]");
    if (!entry.is_object()) throw_wrong_type(place, "an object", entry);
    const Fields fields(entry.get_object(), place);
    const auto role = fields.text("role");
    text::Message message;
    if (role == "assistant") {
      message.role = text::Role::assistant;
    } else if (role == "system") {
      message.role = text::Role::system;
    } else if (role != "user") {
      throw_invalid(fields.place("role"), "expected user or assistant");
    }
    std::vector<text::Message> results;
    add_content(fields, "content", message, &results);
    const bool only_results = !results.empty() && message.content.empty();
    for (text::Message& result : results) messages.push_back(std::move(result));
    if (!only_results) messages.push_back(std::move(message));
  }
  return messages;
}

text::Thinking asked_thinking(const Fields& request) {
  const auto thinking = request.object("thinking");
  if (!thinking) return text::Thinking::off;  // Anthropic's default
  const std::string_view type = thinking->text("type").value_or("");
  if (type == "enabled") return text::Thinking::on;
  if (type == "adaptive") return text::Thinking::automatic;
  if (type == "disabled") return text::Thinking::off;
  throw_invalid(thinking->place("type"), "expected \"enabled\", \"disabled\" or \"adaptive\"");
}

}  // namespace

MessagesRequest parse_messages_request(const Fields& request, bool counting) {
  refuse_fields(request, messages_rules());
  MessagesRequest out;
  const auto model = request.text("model");
  if (!model || model->empty()) throw ApiError(Fault::malformed, "model: missing", "model");
  out.common.model = *model;
  const auto max_tokens = request.integer("max_tokens", 1, kMostTokens);
  if (!max_tokens && !counting) throw ApiError(Fault::malformed, "max_tokens: missing", "max_tokens");
  if (max_tokens) out.common.max_tokens = static_cast<std::size_t>(*max_tokens);
  out.common.stream = request.flag("stream").value_or(false);
  out.common.temperature = request.number("temperature", 0, 2);
  out.common.top_p = request.number("top_p", 0, 1);
  out.common.top_k = request.integer("top_k", 0, std::numeric_limits<std::int64_t>::max());
  out.common.stops = parse_stops(request, "stop_sequences");
  out.common.format = parse_output_format(request);
  if (const auto metadata = request.object("metadata")) out.common.user = metadata->text("user_id").value_or("");
  out.thinking = asked_thinking(request);
  if (const auto config = request.object("output_config")) {
    if (const auto effort = config->text("effort")) {
      out.common.thinking_tokens = parse_effort(*effort, config->place("effort")).tokens;
    }
  }
  if (const auto thinking = request.object("thinking")) {
    if (const auto tokens = parse_thinking_tokens(*thinking, "budget_tokens")) out.common.thinking_tokens = tokens;
  }
  out.messages = messages_of(request);
  order_results(out.messages);
  out.tools = parse_anthropic_tools(request);
  // After calls their results are missing: such a turn is whole, and nothing goes on from it.
  out.continue_last = out.messages.back().role == text::Role::assistant && out.messages.back().tool_calls.empty();
  return out;
}

}  // namespace minke::api
