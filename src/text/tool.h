// Tools in conversations: what a model is offered, and what it calls.
#pragma once

#include <string>
#include <string_view>

namespace minke::text {

/// A function that the model may call. JSON is kept as text, in the spacing of Python's json.dumps
/// (python_json.h), because that is what the templates print.
struct Tool {
  std::string name, description;
  std::string definition;         ///< the whole object: {"type": "function", "function": {"name": ...}}
  std::string parameters = "{}";  ///< the JSON schema of the arguments
};

/// From a definition as OpenAI's protocol has it, with or without the wrapper {"type": "function", "function": ...}.
/// Error(format) naming what is missing; `where` begins the message ("tools[0]").
Tool parse_tool(std::string_view json, std::string_view where);

struct ToolCall {
  std::string id;         ///< the protocol's; no model sees it
  std::string name;       ///< of the function
  std::string arguments;  ///< JSON text of an object, as the model wrote it; a model may write it badly
};

/// How a family writes calls. docs/tools.md has each in full.
enum class ToolFormat {
  none,
  hermes,         ///< <tool_call>{"name": ..., "arguments": {...}}</tool_call>: Qwen2.5, Qwen3
  deepseek,       ///< <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME and fenced JSON: V2.5, V3, R1
  deepseek_v3_1,  ///< <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}
  glm,            ///< <tool_call>NAME<arg_key>k</arg_key><arg_value>v</arg_value></tool_call>
  llama3,         ///< {"name": ..., "parameters": {...}} as the whole reply
};

}  // namespace minke::text
