#include "api/tool_request.h"

#include <algorithm>
#include <utility>

#include <boost/json/serialize.hpp>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

std::string serialized(const json::value& value) { return json::serialize(value); }

text::Tool tool_of(const json::object& definition, const std::string& place) {
  try {
    return text::parse_tool(json::serialize(definition), place);
  } catch (const base::Error& error) {
    throw ApiError(Fault::invalid, error.message(), place);
  }
}

const json::array* tools_array(const Fields& request) {
  const json::array* array = request.array("tools");
  if (array != nullptr && array->size() > kMaxTools) {
    throw_invalid("tools", base::cat("at most ", kMaxTools, " tools, got ", array->size()));
  }
  return array;
}

void parse_choice(const Fields& request, ToolRequest& out) {
  const json::value* choice = request.find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const std::string_view name = text::view(choice->get_string());
    if (name == "none") {
      out.choice = ToolChoice::none;
    } else if (name == "required" || name == "any") {
      out.choice = ToolChoice::required;
    } else if (name != "auto") {
      throw_invalid("tool_choice",
                    base::cat("expected none, auto, required or a function, got ", base::quote_name(name)));
    }
    return;
  }
  if (!choice->is_object()) throw_wrong_type("tool_choice", "a string or an object", *choice);
  const Fields fields(choice->get_object(), "tool_choice");
  const std::string_view type = fields.text("type").value_or("function");
  if (type != "function")
    throw_unsupported("tool_choice.type", base::cat("expected \"function\", got ", base::quote_name(type)));
  const auto function = fields.object("function");
  const auto name = function ? function->text("name") : fields.text("name");
  if (!name) throw ApiError(Fault::malformed, "tool_choice.function.name: missing", "tool_choice");
  out.choice = ToolChoice::named;
  out.name = *name;
}

void read_openai_tools(const Fields& request, ToolRequest& out) {
  auto tools = std::make_shared<std::vector<text::Tool>>();
  if (const json::array* array = tools_array(request)) {
    for (const json::value& entry : *array) {
      const std::string place = base::cat("tools[", tools->size(), "]");
      if (!entry.is_object()) throw_wrong_type(place, "an object", entry);
      const Fields fields(entry.get_object(), place);
      const std::string_view type = fields.text("type").value_or("function");
      if (type != "function") {
        throw_unsupported(fields.place("type"), base::cat("expected \"function\", got ", base::quote_name(type)));
      }
      tools->push_back(tool_of(entry.get_object(), place));
      const auto function = fields.object("function");
      out.strict.push_back((function ? *function : fields).flag("strict").value_or(false));
    }
  }
  out.tools = std::move(tools);
}

}  // namespace

text::Tool tool_of_function(json::object function, const std::string& place) {
  return tool_of({{"type", "function"}, {"function", std::move(function)}}, place);
}

void check_tools(const ToolRequest& request) {
  const auto& tools = *request.tools;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    if (tools[i].name.size() > 256) throw_invalid(base::cat("tools[", i, "]"), "a name has at most 256 bytes");
  }
  if (request.forced() && tools.empty()) throw_invalid("tool_choice", "there are no tools to choose from");
  if (request.choice == ToolChoice::named &&
      std::ranges::none_of(tools, [&request](const text::Tool& tool) { return tool.name == request.name; })) {
    throw_invalid("tool_choice", base::cat("no tool is named ", base::quote_name(request.name)));
  }
}

ToolRequest parse_tools(const Fields& request) {
  ToolRequest out;
  read_openai_tools(request, out);
  parse_choice(request, out);
  out.parallel = request.flag("parallel_tool_calls").value_or(true);
  check_tools(out);
  return out;
}

ToolRequest parse_ollama_tools(const Fields& request) {
  ToolRequest out;
  read_openai_tools(request, out);
  check_tools(out);
  return out;
}

ToolRequest parse_anthropic_tools(const Fields& request) {
  ToolRequest out;
  auto tools = std::make_shared<std::vector<text::Tool>>();
  if (const json::array* array = tools_array(request)) {
    std::size_t index = 0;
    for (const json::value& entry : *array) {
      const std::string place = base::cat("tools[", index++, "]");
      if (!entry.is_object()) throw_wrong_type(place, "an object", entry);
      const Fields fields(entry.get_object(), place);
      // Tools that Anthropic hosts are offered whether they are there or not: left out, not refused.
      if (fields.text("type").value_or("custom") != "custom") continue;
      json::object function;
      for (const std::string_view key : {"name", "description"}) {
        if (const auto text = fields.text(key))
          function[json::string_view(key.data(), key.size())] = json::string_view(text->data(), text->size());
      }
      const json::value* schema = fields.find("input_schema");
      function["parameters"] = schema != nullptr ? *schema : json::value(json::object());
      tools->push_back(tool_of_function(std::move(function), place));
      out.strict.push_back(fields.flag("strict").value_or(false));
    }
  }
  out.tools = std::move(tools);
  if (const auto choice = request.object("tool_choice")) {
    const std::string_view type = choice->text("type").value_or("");
    if (type == "none") {
      out.choice = ToolChoice::none;
    } else if (type == "any") {
      out.choice = ToolChoice::required;
    } else if (type == "tool") {
      const auto name = choice->text("name");
      if (!name) throw ApiError(Fault::malformed, "tool_choice.name: missing", "tool_choice");
      out.choice = ToolChoice::named;
      out.name = *name;
    } else if (type != "auto") {
      throw_invalid("tool_choice.type", "expected auto, any, tool or none");
    }
    out.parallel = !choice->flag("disable_parallel_tool_use").value_or(false);
  }
  check_tools(out);
  return out;
}

std::vector<text::ToolCall> parse_tool_calls(const Fields& message) {
  std::vector<text::ToolCall> calls;
  const json::array* array = message.array("tool_calls");
  if (array == nullptr) return calls;
  for (const json::value& entry : *array) {
    const std::string place = base::cat(message.place("tool_calls"), "[", calls.size(), "]");
    if (!entry.is_object()) throw_wrong_type(place, "an object", entry);
    const Fields fields(entry.get_object(), place);
    const auto function = fields.object("function");
    if (!function) throw ApiError(Fault::malformed, base::cat(place, ".function: missing"), place);
    const auto name = function->text("name");
    if (!name) throw ApiError(Fault::malformed, base::cat(place, ".function.name: missing"), place);
    text::ToolCall call;
    call.id = fields.text("id").value_or("");
    call.name = *name;
    const json::value* arguments = function->find("arguments");
    if (arguments != nullptr && arguments->is_string()) {
      call.arguments = text::view(arguments->get_string());
    } else {
      call.arguments = arguments != nullptr ? serialized(*arguments) : "{}";
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

void order_results(std::vector<text::Message>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::vector<text::ToolCall> calls = messages[i].tool_calls;
    if (calls.size() < 2) continue;
    std::size_t end = i + 1;
    while (end < messages.size() && messages[end].role == text::Role::tool) ++end;
    const auto rank = [&calls](const text::Message& result) {
      return std::ranges::find(calls, result.tool_call_id, &text::ToolCall::id) - calls.begin();
    };
    std::stable_sort(messages.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                     messages.begin() + static_cast<std::ptrdiff_t>(end),
                     [&rank](const text::Message& a, const text::Message& b) { return rank(a) < rank(b); });
  }
}

std::vector<text::PromptPiece> begun_call(const text::ChatEncoding& encoding, const ToolRequest& request) {
  const bool named = request.choice == ToolChoice::named;
  const std::string& name = request.name;
  std::vector<text::PromptPiece> pieces;
  const auto control = [&pieces](std::string_view text) {
    pieces.push_back({.text = std::string(text), .control = true});
  };
  const auto plain = [&pieces](std::string text) { pieces.push_back({.text = std::move(text), .control = false}); };
  switch (encoding.tool_format()) {
    case text::ToolFormat::hermes:
      control("<tool_call>");
      plain("\n{\"name\": \"" + (named ? name + "\", \"arguments\": {" : ""));
      break;
    case text::ToolFormat::deepseek:
      control("<｜tool▁calls▁begin｜>");
      control("<｜tool▁call▁begin｜>");
      plain("function");
      control("<｜tool▁sep｜>");
      if (named) plain(name + "\n```json\n");
      break;
    case text::ToolFormat::deepseek_v3_1:
      control("<｜tool▁calls▁begin｜>");
      control("<｜tool▁call▁begin｜>");
      if (!named) break;
      plain(name);
      control("<｜tool▁sep｜>");
      break;
    case text::ToolFormat::glm:
      control("<tool_call>");
      if (named) plain(name + (encoding.kind() == text::Encoding::glm4_5 ? "\n" : ""));
      break;
    case text::ToolFormat::llama3:
      plain("{\"name\": \"" + (named ? name + "\", \"parameters\": {" : ""));
      break;
    case text::ToolFormat::none:
      throw_unsupported("tool_choice", "the model was not trained to call tools");
  }
  return pieces;
}

}  // namespace minke::api
