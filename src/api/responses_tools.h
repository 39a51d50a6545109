// Tools in OpenAI's responses: what the model is offered of them, and what its calls are called by the client.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "api/fields.h"
#include "api/tool_request.h"

namespace minke::api {

/// A tool as the client knows it.
struct ResponsesTool {
  std::string known_as;    ///< by the model: the name, after that of its namespace
  std::string name;        ///< by the client
  std::string space;       ///< of a namespace's tools: its name
  bool is_custom = false;  ///< takes a text: the model knows it as a function with one string, "input"
};

struct ResponsesTools {
  ToolRequest request;  ///< as the model knows them
  std::vector<ResponsesTool> tools;
  std::vector<std::string> warnings;  ///< of what was left out
};

/// "tools", "tool_choice" and "parallel_tool_calls". Tools that OpenAI hosts, and a choice of one, are left out with a
/// warning, as clients offer them whether they are there or not. Throws ApiError.
ResponsesTools parse_responses_tools(const Fields& request);

/// What the model knows a tool by.
std::string known_name(std::string_view space, std::string_view name);
/// A custom tool's text as the arguments that the model writes.
std::string custom_arguments(std::string_view input);
/// And back. What the model wrote badly is given as it is.
std::string custom_input(const std::string& arguments);

/// The item of a call. `tools`: of the request. `id`: the item's; `arguments`: so far.
boost::json::object call_item(const std::vector<ResponsesTool>& tools, const text::ToolCall& call, std::string_view id,
                              std::string_view status);
/// Whether this is a call of a custom tool.
bool is_custom(const std::vector<ResponsesTool>& tools, std::string_view known_as);

}  // namespace minke::api
