#include "formats/chat_template.h"

#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "base/error.h"

namespace minke::formats {

namespace {

namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;

std::string_view view(json::string_view s) { return {s.data(), s.size()}; }

}  // namespace

std::string chat_template_of(const json::object& config, const std::string& path) {
  const json::value* field = config.if_contains("chat_template");
  if (field == nullptr || field->is_null()) return {};
  if (field->is_string()) return std::string(view(field->get_string()));
  if (!field->is_array())
    throw Error(ErrorCode::format, cat(path, ": chat_template: expected a string or a list of named templates"));
  for (const json::value& entry : field->get_array()) {
    const json::object* named = entry.if_object();
    const json::value* name = named != nullptr ? named->if_contains("name") : nullptr;
    const json::value* text = named != nullptr ? named->if_contains("template") : nullptr;
    if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string())
      throw Error(ErrorCode::format, cat(path, ": chat_template: expected entries with a name and a template"));
    if (view(name->get_string()) == "default") return std::string(view(text->get_string()));
  }
  return {};
}

}  // namespace minke::formats
