#include "api/chat_request.h"

#include "api/api_error.h"
#include "api/field_table.h"
#include "base/cat.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

std::optional<text::Role> role_of(std::string_view name) {
  if (name == "developer") return text::Role::system;  // OpenAI's newer name
  if (name == "function") return text::Role::tool;     // and its older one
  return text::role_from_name(name);
}

/// One part of a content that is an array.
void append_part(const json::value& part, const std::string& place, std::string& text) {
  if (part.is_string()) {
    text += text::view(part.get_string());
    return;
  }
  if (!part.is_object()) throw_wrong_type(place, "an object", part);
  const Fields fields(part.get_object(), place);
  const auto type = fields.text("type");
  if (!type) throw ApiError(Fault::malformed, base::cat(place, ".type: missing"), base::cat(place, ".type"));
  if (*type == "refusal") {
    text += fields.text("refusal").value_or("");
    return;
  }
  if (*type != "text" && *type != "input_text" && *type != "output_text") {
    throw_unsupported(
        fields.place("type"),
        base::cat("expected \"text\", got ", text::describe_json(*fields.find("type")), "; the model reads text only"));
  }
  const auto piece = fields.text("text");
  if (!piece) throw ApiError(Fault::malformed, base::cat(place, ".text: missing"), base::cat(place, ".text"));
  text += *piece;
}

/// DeepSeek's "prefix" on the last message, or vLLM's "continue_final_message".
bool continues_last(const Fields& request, const std::vector<text::Message>& messages) {
  bool wanted = request.flag("continue_final_message").value_or(false);
  std::size_t index = 0;
  for (const json::value& entry : *request.array("messages")) {
    const Fields message(entry.get_object(), base::cat("messages[", index++, "]"));
    if (!message.flag("prefix").value_or(false)) continue;
    if (index != messages.size()) throw_invalid(message.place("prefix"), "only the last message can be continued");
    wanted = true;
  }
  if (wanted && messages.back().role != text::Role::assistant) {
    throw_invalid(request.place("messages"), "expected the last one to be the assistant's, as it is to be continued");
  }
  return wanted;
}

text::Message parse_message(const json::value& value, const std::string& place) {
  if (!value.is_object()) throw_wrong_type(place, "an object", value);
  const Fields fields(value.get_object(), place);
  const auto role_name = fields.text("role");
  if (!role_name) throw ApiError(Fault::malformed, base::cat(place, ".role: missing"), base::cat(place, ".role"));
  const auto role = role_of(*role_name);
  if (!role) {
    throw_invalid(fields.place("role"), base::cat("expected system, developer, user, assistant or tool, got ",
                                                  text::describe_json(*fields.find("role"))));
  }
  text::Message message;
  message.role = *role;
  if (*role == text::Role::assistant) {
    auto reasoning = fields.text("reasoning_content");
    if (!reasoning) reasoning = fields.text("reasoning");
    if (reasoning) message.reasoning = std::string(*reasoning);
    message.tool_calls = parse_tool_calls(fields);
  } else if (fields.find("content") == nullptr) {
    throw ApiError(Fault::malformed, base::cat(place, ".content: missing"), base::cat(place, ".content"));
  }
  if (*role == text::Role::tool) message.tool_call_id = fields.text("tool_call_id").value_or("");
  message.content = parse_content(fields);
  return message;
}

/// DeepSeek's, then vLLM's, then OpenAI's way to say it.
text::Thinking thinking_of(const Fields& request, const Effort& effort) {
  using text::Thinking;
  if (const auto thinking = request.object("thinking")) {
    const std::string_view type = thinking->text("type").value_or("enabled");
    if (type == "enabled") return Thinking::on;
    if (type == "disabled") return Thinking::off;
    if (type == "adaptive" || type == "auto") return Thinking::automatic;
    throw_invalid(thinking->place("type"), "expected \"enabled\", \"disabled\" or \"adaptive\"");
  }
  if (const auto settings = request.object("chat_template_kwargs")) {
    auto asked = settings->flag("enable_thinking");
    if (!asked) asked = settings->flag("thinking");
    if (asked) return *asked ? Thinking::on : Thinking::off;
  }
  return effort.thinking;
}

void read_thinking(const Fields& request, ChatRequest& out) {
  Effort effort;
  if (const auto word = request.text("reasoning_effort")) {
    effort = parse_effort(*word, request.place("reasoning_effort"));
  }
  out.thinking = thinking_of(request, effort);
  out.common.thinking_tokens = effort.tokens;
  if (const auto thinking = request.object("thinking")) {
    if (const auto tokens = parse_thinking_tokens(*thinking, "budget_tokens")) out.common.thinking_tokens = tokens;
  }
  if (const auto tokens = parse_thinking_tokens(request, "thinking_token_budget")) out.common.thinking_tokens = tokens;
}

/// DeepSeek's two names were one model, not thinking and thinking.
text::Thinking thinking_of_name(std::string_view model) {
  if (model == "deepseek-chat") return text::Thinking::off;
  if (model == "deepseek-reasoner") return text::Thinking::on;
  return text::Thinking::automatic;
}

std::optional<std::size_t> logprobs_of(const Fields& request) {
  const bool wanted = request.flag("logprobs").value_or(false);
  const auto top = request.integer("top_logprobs", 0, static_cast<std::int64_t>(engine::kMaxTopLogprobs));
  if (top && *top > 0 && !wanted) throw_invalid(request.place("top_logprobs"), "only for \"logprobs\": true");
  if (!wanted) return std::nullopt;
  return static_cast<std::size_t>(top.value_or(0));
}

void check_modalities(const Fields& request) {
  const json::array* modalities = request.array("modalities");
  if (modalities == nullptr) return;
  for (const json::value& modality : *modalities) {
    if (text_of(modality, request.place("modalities")) != "text") {
      throw_unsupported(request.place("modalities"), "the model writes text only");
    }
  }
}

}  // namespace

std::string parse_content(const Fields& message, std::string_view key) {
  const json::value* content = message.find(key);
  if (content == nullptr) return {};
  if (content->is_string()) return std::string(text::view(content->get_string()));
  if (!content->is_array()) throw_wrong_type(message.place(key), "a string or an array of parts", *content);
  std::string text;
  std::size_t index = 0;
  for (const json::value& part : content->get_array()) {
    append_part(part, base::cat(message.place(key), "[", index++, "]"), text);
  }
  return text;
}

std::vector<text::Message> parse_messages(const Fields& request) {
  const json::array* array = request.array("messages");
  if (array == nullptr) throw ApiError(Fault::malformed, "messages: missing", "messages");
  if (array->empty()) throw_invalid(request.place("messages"), "expected at least one message");
  std::vector<text::Message> messages;
  messages.reserve(array->size());
  for (const json::value& entry : *array) {
    messages.push_back(parse_message(entry, base::cat("messages[", messages.size(), "]")));
  }
  order_results(messages);
  return messages;
}

ChatRequest parse_chat_request(const Fields& request) {
  refuse_fields(request, chat_rules());
  ChatRequest out;
  out.common = parse_common(request);
  out.messages = parse_messages(request);
  out.continue_last = continues_last(request, out.messages);
  read_thinking(request, out);
  if (out.thinking == text::Thinking::automatic) out.thinking = thinking_of_name(out.common.model);
  out.logprobs = logprobs_of(request);
  out.tools = parse_tools(request);
  check_modalities(request);
  return out;
}

}  // namespace minke::api
