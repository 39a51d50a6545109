// Tools in requests of every protocol: what is offered, what must be called, and how a reply is to be read for calls.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "api/fields.h"
#include "text/chat.h"

namespace minke::api {

/// More than any client sends; bounds the prompt that definitions can make before it is rendered.
inline constexpr std::size_t kMaxTools = 1024;

enum class ToolChoice {
  none,       ///< calls are not reported; what the model writes of one is content
  automatic,  ///< the model decides
  required,   ///< it must call one of them
  named,      ///< it must call this one
};

struct ToolRequest {
  std::shared_ptr<const std::vector<text::Tool>> tools = std::make_shared<std::vector<text::Tool>>();
  ToolChoice choice = ToolChoice::automatic;
  std::string name;          ///< for ToolChoice::named
  bool parallel = true;      ///< several calls in a reply
  std::vector<bool> strict;  ///< of each tool: its arguments have to be as its schema says
  bool is_strict(std::size_t tool) const { return tool < strict.size() && strict[tool]; }
  bool any_strict() const { return std::find(strict.begin(), strict.end(), true) != strict.end(); }
  bool forced() const noexcept { return choice == ToolChoice::required || choice == ToolChoice::named; }
};

/// "tools", "tool_choice" and "parallel_tool_calls" as OpenAI has them. Throws ApiError.
ToolRequest parse_tools(const Fields& request);
/// As Anthropic has them: "input_schema", and any, tool and auto. Throws ApiError.
ToolRequest parse_anthropic_tools(const Fields& request);
/// Ollama's: OpenAI's definitions, nothing to choose.
ToolRequest parse_ollama_tools(const Fields& request);

/// "tool_calls" of an assistant's message: OpenAI's with arguments as text, or Ollama's with an object. Throws
/// ApiError.
std::vector<text::ToolCall> parse_tool_calls(const Fields& message);

/// Parts of it, for protocols with definitions of their own. Throw ApiError.
/// `function`: {"name", "description", "parameters"}.
text::Tool tool_of_function(boost::json::object function, const std::string& place);
void check_tools(const ToolRequest& request);

/// Puts results that follow one message's calls in the order of the calls: the model is not told ids.
void order_results(std::vector<text::Message>& messages);

/// How the prompt makes the model call: what stands at the beginning of its reply. Throws ApiError(unsupported) for
/// formats that cannot be begun.
std::vector<text::PromptPiece> begun_call(const text::ChatEncoding& encoding, const ToolRequest& request);

}  // namespace minke::api
