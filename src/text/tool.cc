#include "text/tool.h"

#include <optional>
#include <vector>

#include "base/error.h"
#include "text/python_json.h"

namespace minke::text {
namespace {

[[noreturn]] void refuse(std::string_view where, std::string_view why) {
  throw base::Error(base::ErrorCode::format, base::cat(where, why));
}

std::vector<JsonMember> members_of(std::string_view json, std::string_view where) {
  std::optional<std::vector<JsonMember>> members = json_members(json);
  if (!members) refuse(where, ": expected an object");
  return *std::move(members);
}

const JsonMember* find(const std::vector<JsonMember>& members, std::string_view name) {
  for (const JsonMember& member : members) {
    if (member.name == name && member.value != "null") return &member;
  }
  return nullptr;
}

}  // namespace

Tool parse_tool(std::string_view json, std::string_view where) {
  const std::optional<std::string> definition = python_json(json);
  if (!definition) refuse(where, ": expected JSON, nested no deeper than 64");
  std::vector<JsonMember> members = members_of(*definition, where);
  if (const JsonMember* function = find(members, "function")) {
    members = members_of(function->value, base::cat(where, ".function"));
  }
  Tool tool;
  const JsonMember* name = find(members, "name");
  const std::optional<std::string> spelled = name != nullptr ? json_string(name->value) : std::nullopt;
  if (!spelled || spelled->empty()) refuse(where, ".function.name: expected a string that is not empty");
  tool.name = *spelled;
  if (const JsonMember* description = find(members, "description")) {
    tool.description = json_string(description->value).value_or(std::string(description->value));
  }
  if (const JsonMember* parameters = find(members, "parameters")) tool.parameters = parameters->value;
  tool.definition = *definition;
  return tool;
}

}  // namespace minke::text
