#include "cli/messages_json.h"

#include <boost/json/array.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "formats/json.h"

namespace minke::cli {
namespace {

using base::Error;
using base::ErrorCode;
namespace json = boost::json;

std::string text_field(const json::value& value, bool null_allowed, const std::string& where) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_null() && null_allowed) return {};
  throw Error(ErrorCode::format, base::cat(where, ": expected a string, got ", json::to_string(value.kind())));
}

text::Message parse_message(const json::value& value, const std::string& where) {
  if (!value.is_object()) {
    throw Error(ErrorCode::format, base::cat(where, ": expected an object, got ", json::to_string(value.kind())));
  }
  const json::object& object = value.get_object();
  const json::value* role_field = object.if_contains("role");
  if (role_field == nullptr) throw Error(ErrorCode::format, base::cat(where, ": \"role\" is missing"));
  const std::string role_name = text_field(*role_field, false, where + ".role");
  const auto role = text::role_from_name(role_name);
  if (!role || *role == text::Role::tool) {
    throw Error(ErrorCode::unsupported,
                base::cat(where, ".role: expected system, user or assistant, got \"", role_name, "\""));
  }
  text::Message message;
  message.role = *role;
  const bool assistant = *role == text::Role::assistant;
  if (!assistant && !object.contains("content")) {
    throw Error(ErrorCode::format, base::cat(where, ": \"content\" is missing"));
  }
  for (const auto& [key, field] : object) {
    const std::string name = base::cat(where, ".", std::string_view(key.data(), key.size()));
    if (key == "content") {
      message.content = text_field(field, assistant, name);
    } else if (key == "reasoning_content" && assistant) {
      // null is "not given", as chat templates treat it
      if (!field.is_null()) message.reasoning = text_field(field, false, name);
    } else if (key != "role") {
      throw Error(ErrorCode::unsupported, name + ": no such field here",
                  "a message has role and content, an assistant's also reasoning_content");
    }
  }
  return message;
}

}  // namespace

std::vector<text::Message> parse_messages(std::string_view input, std::string_view source) {
  const json::value document = formats::parse_json(input, source);
  if (!document.is_array()) {
    throw Error(ErrorCode::format,
                base::cat(source, ": expected an array of messages, got ", json::to_string(document.kind())));
  }
  std::vector<text::Message> messages;
  for (const json::value& entry : document.get_array()) {
    messages.push_back(parse_message(entry, base::cat(source, ": messages[", messages.size(), "]")));
  }
  if (messages.empty()) throw Error(ErrorCode::format, base::cat(source, ": no messages"));
  return messages;
}

}  // namespace minke::cli
