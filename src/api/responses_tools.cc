#include "api/responses_tools.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "api/api_error.h"
#include "api/json_text.h"
#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "formats/json.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostWarnings = 32;  // they stand in the response

const ResponsesTool* find(const std::vector<ResponsesTool>& tools, std::string_view known_as) {
  const auto found = std::ranges::find(tools, known_as, &ResponsesTool::known_as);
  return found == tools.end() ? nullptr : &*found;
}

/// A custom tool's parameters, and what is said of them.
json::object custom_parameters() {
  json::object input{{"type", "string"}, {"description", "The tool's whole input, as plain text"}};
  return {{"type", "object"},
          {"properties", json::object{{"input", std::move(input)}}},
          {"required", json::array{"input"}},
          {"additionalProperties", false}};
}

/// The grammar of a custom tool's input is told the model in words.
std::string custom_description(const Fields& tool) {
  std::string text(tool.text("description").value_or(""));
  const auto format = tool.object("format");
  if (!format || format->text("type").value_or("text") != "grammar") return text;
  if (!text.empty()) text += "\n\n";
  text += base::cat("The input has to match this grammar (", format->text("syntax").value_or("lark"), "):\n",
                    format->text("definition").value_or(""));
  return text;
}

class Reader {
 public:
  void read_tools(const json::array& array, const std::string& place, std::string_view space,
                  std::string_view space_note) {
    std::size_t index = 0;
    for (const json::value& entry : array) {
      const std::string where = base::cat(place, "[", index++, "]");
      if (!entry.is_object()) throw_wrong_type(where, "an object", entry);
      read_tool(Fields(entry.get_object(), where), where, space, space_note);
    }
  }

  void read_choice(const Fields& request) {
    const json::value* choice = request.find("tool_choice");
    if (choice == nullptr) return;
    if (choice->is_string()) {
      choose_mode(text::view(choice->get_string()));
      return;
    }
    if (!choice->is_object()) throw_wrong_type("tool_choice", "a string or an object", *choice);
    const Fields fields(choice->get_object(), "tool_choice");
    const std::string_view type = fields.text("type").value_or("");
    if (type == "function" || type == "custom") {
      out.request.choice = ToolChoice::named;
      out.request.name = chosen(fields);
    } else if (type == "allowed_tools") {
      allow(fields);
    } else {
      warn("tool_choice", type);
    }
  }

  /// A call that must be, where everything to call was left out.
  void settle() {
    out.request.tools = std::make_shared<const std::vector<text::Tool>>(std::move(offered_));
    if (out.request.choice == ToolChoice::required && out.request.tools->empty()) {
      out.request.choice = ToolChoice::automatic;
      say("tool_choice: there is no tool that could be called");
    }
  }

  ResponsesTools out;

 private:
  void read_tool(const Fields& tool, const std::string& place, std::string_view space, std::string_view space_note) {
    const std::string_view type = tool.text("type").value_or("");
    if (type == "namespace" && space.empty()) {
      const auto name = tool.text("name");
      if (!name || name->empty()) throw ApiError(Fault::malformed, base::cat(place, ".name: missing"), place);
      if (const json::array* inner = tool.array("tools")) {
        read_tools(*inner, tool.place("tools"), *name, tool.text("description").value_or(""));
      }
    } else if (type == "function" || type == "custom") {
      add(tool, place, space, space_note);
    } else {
      warn(place, type);
    }
  }

  void add(const Fields& tool, const std::string& place, std::string_view space, std::string_view space_note) {
    ResponsesTool one;
    one.is_custom = tool.text("type") == "custom";
    one.name = tool.text("name").value_or("");
    if (one.name.empty()) throw ApiError(Fault::malformed, base::cat(place, ".name: missing"), place);
    one.space = space;
    one.known_as = known_name(one.space, one.name);
    if (find(out.tools, one.known_as) != nullptr) {
      say(base::cat(place, ": there is a tool of this name already"));
      return;
    }
    if (out.tools.size() == kMaxTools) throw_invalid("tools", base::cat("at most ", kMaxTools, " tools"));
    std::string description =
        one.is_custom ? custom_description(tool) : std::string(tool.text("description").value_or(""));
    if (!space_note.empty()) description = base::cat(space_note, description.empty() ? "" : "\n\n", description);
    json::object function{{"name", json_text(one.known_as)}, {"description", json_text(description)}};
    const json::value* parameters = tool.find("parameters");
    function["parameters"] = one.is_custom           ? json::value(custom_parameters())
                             : parameters != nullptr ? *parameters
                                                     : json::value(json::object());
    offered_.push_back(tool_of_function(std::move(function), place));
    out.request.strict.push_back(!one.is_custom && tool.flag("strict").value_or(false));
    out.tools.push_back(std::move(one));
  }

  void choose_mode(std::string_view mode) {
    if (mode == "none") {
      out.request.choice = ToolChoice::none;
    } else if (mode == "required") {
      out.request.choice = ToolChoice::required;
    } else if (mode != "auto") {
      throw_invalid("tool_choice", base::cat("expected none, auto, required or a tool, got ", base::quote_name(mode)));
    }
  }

  /// What the model knows the tool by that `choice` names, with or without its namespace.
  std::string chosen(const Fields& choice) const {
    const auto name = choice.text("name");
    if (!name) throw ApiError(Fault::malformed, "tool_choice.name: missing", "tool_choice");
    std::string known_as = known_name(choice.text("namespace").value_or(""), *name);
    if (find(out.tools, known_as) != nullptr) return known_as;
    const auto found = std::ranges::find(out.tools, *name, &ResponsesTool::name);
    return found == out.tools.end() ? known_as : found->known_as;
  }

  /// Only these are offered.
  void allow(const Fields& choice) {
    std::vector<std::string> allowed;
    if (const json::array* array = choice.array("tools")) {
      for (const json::value& entry : *array) {
        if (!entry.is_object()) throw_wrong_type("tool_choice.tools", "objects", entry);
        const Fields fields(entry.get_object(), "tool_choice.tools");
        const std::string_view type = fields.text("type").value_or("");
        if (type == "function" || type == "custom") allowed.push_back(chosen(fields));
      }
    }
    const auto is_left_out = [&allowed](const text::Tool& tool) {
      return std::ranges::find(allowed, tool.name) == allowed.end();
    };
    std::erase_if(offered_, is_left_out);
    choose_mode(choice.text("mode").value_or("auto"));
  }

  void warn(std::string_view place, std::string_view type) {
    say(base::cat(place, ": ", base::quote_name(type), " is not there, and was left out"));
  }

  void say(std::string warning) {
    if (out.warnings.size() < kMostWarnings) out.warnings.push_back(std::move(warning));
  }

  std::vector<text::Tool> offered_;
};

}  // namespace

ResponsesTools parse_responses_tools(const Fields& request) {
  Reader reader;
  if (const json::array* array = request.array("tools")) {
    if (array->size() > kMaxTools) {
      throw_invalid("tools", base::cat("at most ", kMaxTools, " tools, got ", array->size()));
    }
    reader.read_tools(*array, "tools", {}, {});
  }
  reader.read_choice(request);
  reader.settle();
  reader.out.request.parallel = request.flag("parallel_tool_calls").value_or(true);
  check_tools(reader.out.request);
  return std::move(reader.out);
}

std::string known_name(std::string_view space, std::string_view name) {
  return space.empty() ? std::string(name) : base::cat(space, "__", name);
}

std::string custom_arguments(std::string_view input) {
  return json::serialize(json::object{{"input", json_text(input)}});
}

std::string custom_input(const std::string& arguments) {
  try {
    const json::object object = formats::parse_json_object(arguments, "arguments");
    const json::value* input = object.if_contains("input");
    if (input == nullptr && object.size() == 1) input = &object.begin()->value();  // by another name
    if (input != nullptr && input->is_string()) return std::string(text::view(input->get_string()));
  } catch (const base::Error&) {  // no JSON: its text may be what is wanted
  }
  return arguments;
}

bool is_custom(const std::vector<ResponsesTool>& tools, std::string_view known_as) {
  const ResponsesTool* tool = find(tools, known_as);
  return tool != nullptr && tool->is_custom;
}

json::object call_item(const std::vector<ResponsesTool>& tools, const text::ToolCall& call, std::string_view id,
                       std::string_view status) {
  const ResponsesTool* tool = find(tools, call.name);
  const bool custom = tool != nullptr && tool->is_custom;
  json::object item{{"id", json_text(id)},
                    {"type", custom ? "custom_tool_call" : "function_call"},
                    {"status", json_text(status)},
                    {"call_id", json_text(call.id)},
                    {"name", json_bytes(tool != nullptr ? tool->name : call.name)}};
  if (tool != nullptr && !tool->space.empty()) item["namespace"] = json_text(tool->space);
  item[custom ? "input" : "arguments"] = json_bytes(custom ? custom_input(call.arguments) : call.arguments);
  return item;
}

}  // namespace minke::api
