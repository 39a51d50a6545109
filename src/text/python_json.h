// JSON text as Python's json.dumps(ensure_ascii=False) writes it: the "tojson" of chat templates. It works on
// text alone, so that keys keep their order and numbers their digits.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minke::text {

/// Nothing when `json` is no JSON, or is nested deeper than 64. `indent` 0: on one line with ", " and ": ";
/// else as json.dumps(indent=...) breaks lines.
std::optional<std::string> python_json(std::string_view json, std::size_t indent = 0);

/// A member of an object; `value` is a view of the text that was given.
struct JsonMember {
  std::string name;
  std::string_view value;
};
/// Nothing when `json` is no object. Members in their order.
std::optional<std::vector<JsonMember>> json_members(std::string_view json);
/// Nothing when `json` is no array.
std::optional<std::vector<std::string_view>> json_elements(std::string_view json);
/// The text of a JSON string; nothing when `json` is something else.
std::optional<std::string> json_string(std::string_view json);

/// `text` with what a JSON string must escape, without quotes around it. Bytes above 0x7f stay as they are, so
/// text may come in pieces.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace minke::text
