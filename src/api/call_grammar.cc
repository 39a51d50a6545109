#include "api/call_grammar.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"
#include "formats/json.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using base::cat;
using text::ToolFormat;

/// A text as Lark has it.
std::string quoted(std::string_view text) { return json::serialize(json::string(text.data(), text.size())); }

std::string joined(const std::vector<std::string>& alternatives) {
  std::string all;
  for (const std::string& one : alternatives) all += cat(all.empty() ? "" : " | ", one);
  return all;
}

bool is_text(const json::value& value) { return value.is_string(); }

class Writer {
 public:
  explicit Writer(const CallGrammar& asked)
      : asked_(asked), format_(asked.encoding->tool_format()), tools_(*asked.tools->tools) {}

  constrain::Grammar write() {
    const bool forced = asked_.tools->forced();
    std::vector<std::string> called;
    for (std::size_t i = 0; i < tools_.size(); ++i) {
      if (asked_.tools->choice == ToolChoice::named && tools_[i].name != asked_.tools->name) continue;
      called.push_back(cat("call", i));
      rule(called.back(), call(i));
    }
    rule("any", joined(called));
    // A call that must be made is one call: small models, kept from ending, go on to call without end.
    write_calls(asked_.tools->parallel && !forced && format_ != ToolFormat::llama3);
    // After thinking comes an empty line, as a rule.
    const bool thinks = !asked_.encoding->think_begin().empty();
    if (thinks) rules_ += "WS: /[ \\n]{1,4}/\n";
    const std::string space = thinks ? "WS? " : "";
    if (forced) {
      rule("start", cat(space, "calls"));
    } else if (asked_.answer != nullptr) {
      rule("answer", constrain::lark_expression(*asked_.answer));
      rule("start", cat(space, "(calls | answer)"));
    } else {
      rule("start", free_start());
    }
    return {constrain::Grammar::Kind::lark, std::move(rules_), {}};
  }

 private:
  void rule(std::string_view name, std::string_view expression) { rules_ += cat(name, ": ", expression, "\n"); }

  std::string marker(std::string_view spelling) const {
    const auto token = asked_.find_token(spelling);
    return token ? cat("<[", *token, "]>") : quoted(spelling);
  }

  bool is_deepseek() const { return format_ == ToolFormat::deepseek || format_ == ToolFormat::deepseek_v3_1; }
  /// What calls begin with; Llama's with nothing of their own.
  std::string_view opening() const { return is_deepseek() ? "<｜tool▁calls▁begin｜>" : "<tool_call>"; }

  /// The rules "calls" and "body", which is the same without the opening marker.
  void write_calls(bool several) {
    if (format_ == ToolFormat::llama3) return rule("calls", "any");
    // Between two calls a line's end, but for V3.1, which chains them.
    const std::string_view between = format_ == ToolFormat::deepseek_v3_1 ? "" : "\"\\n\" ";
    const std::string more = several ? cat(" (", between, is_deepseek() ? "" : marker(opening()), " any)*") : "";
    rule("body", cat("any", more, is_deepseek() ? cat(" ", marker("<｜tool▁calls▁end｜>")) : ""));
    rule("calls", cat(marker(opening()), " body"));
  }

  /// Behind the opening marker, where each call has one.
  std::string call(std::size_t i) {
    const std::string& name = tools_[i].name;
    switch (format_) {
      case ToolFormat::hermes:
        return cat(quoted(cat("\n", object_head(name, "arguments"))), " ", arguments(i), " ", quoted("}\n"), " ",
                   marker("</tool_call>"));
      case ToolFormat::llama3:
        return cat(quoted(object_head(name, "parameters")), " ", arguments(i), " ", quoted("}"));
      case ToolFormat::deepseek:
        return cat(marker("<｜tool▁call▁begin｜>"), " \"function\" ", marker("<｜tool▁sep｜>"), " ",
                   quoted(cat(name, "\n```json\n")), " ", arguments(i), " ", quoted("\n```"), " ",
                   marker("<｜tool▁call▁end｜>"));
      case ToolFormat::deepseek_v3_1:
        return cat(marker("<｜tool▁call▁begin｜>"), " ", quoted(name), " ", marker("<｜tool▁sep｜>"), " ", arguments(i),
                   " ", marker("<｜tool▁call▁end｜>"));
      case ToolFormat::glm:
        return cat(quoted(cat(name, line())), " ", pairs(i), " ", marker("</tool_call>"));
      case ToolFormat::none:
        break;
    }
    throw_unsupported("tools", "the model was not trained to call tools");
  }

  static std::string object_head(const std::string& name, std::string_view key) {
    return cat("{\"name\": ", quoted(name), ", \"", key, "\": ");
  }

  /// The rule of a call's arguments, an object.
  std::string arguments(std::size_t i) {
    std::string name = cat("arguments", i);
    if (std::ranges::find(written_, name) != written_.end()) return name;
    if (!asked_.tools->is_strict(i)) {
      if (!any_object_) rule("anything", constrain::lark_expression({constrain::Grammar::Kind::json_object, {}, {}}));
      any_object_ = true;
      return "anything";
    }
    json::object schema = schema_of(i);
    if (schema.if_contains("type") == nullptr) schema["type"] = "object";
    written_.push_back(name);
    return json_rule(name, schema);
  }

  std::string json_rule(std::string name, const json::object& schema) {
    rule(name, constrain::lark_expression({constrain::Grammar::Kind::json_schema, json::serialize(schema), {}}));
    return name;
  }

  json::object schema_of(std::size_t i) const {
    try {
      json::value value = formats::parse_json(tools_[i].parameters, "parameters");
      if (value.is_object()) return std::move(value.get_object());
    } catch (const base::Error& error) {
      throw_invalid(place(i), error.message());
    }
    throw_invalid(place(i), "expected a schema, which is an object");
  }

  static std::string place(std::size_t i) { return cat("tools[", i, "].function.parameters"); }

  // ---- GLM: keys and values, no object

  std::string line() const { return asked_.encoding->kind() == text::Encoding::glm4_5 ? "\n" : ""; }

  std::string pair(std::string_view key, std::string_view value) const {
    const std::string end = line().empty() ? "" : cat(" ", quoted(line()));
    return cat(marker("<arg_key>"), " ", key, " ", marker("</arg_key>"), end, " ", marker("<arg_value>"), " ", value,
               " ", marker("</arg_value>"), end);
  }

  void need_text() {
    if (!any_text_) rules_ += "TEXT: /(.|\\n)+/\n";
    any_text_ = true;
  }

  std::string pairs(std::size_t i) {
    if (!asked_.find_token("</arg_value>"))
      throw_unsupported("tools", "the vocabulary lacks the markers that end a value: it could not be told from text");
    need_text();
    if (!asked_.tools->is_strict(i)) return cat("(", pair("TEXT", "TEXT?"), ")*");
    const json::object schema = schema_of(i);
    for (const auto& member : schema) {
      constexpr std::array<std::string_view, 8> kKnown = {
          "type", "properties", "required", "additionalProperties", "description", "title", "$defs", "definitions"};
      const std::string_view key = text::view(member.key());
      if (std::ranges::find(kKnown, key) == kKnown.end() && key != "$schema")
        throw_unsupported(place(i), cat("strict: this model's calls are properties, without room for ", quoted(key)));
    }
    std::vector<std::string_view> required;
    if (const auto* list = schema.if_contains("required"); list != nullptr && list->is_array()) {
      for (const json::value& name : list->get_array())
        if (name.is_string()) required.push_back(text::view(name.get_string()));
    }
    std::string all;
    const auto* properties = schema.if_contains("properties");
    if (properties == nullptr || !properties->is_object()) return {};
    std::size_t count = 0;
    for (const auto& property : properties->get_object()) {
      const std::string_view name = text::view(property.key());
      const std::string one =
          pair(quoted(name), value(property.value(), schema, cat("value", i, "x", count++), cat(place(i), ".", name)));
      const bool must = std::ranges::find(required, name) != required.end();
      all += must ? cat(one, " ") : cat("(", one, ")? ");
    }
    return all;
  }

  /// A property: a string stands as it is, everything else as JSON.
  std::string value(const json::value& property, const json::object& root, std::string name, const std::string& where) {
    const json::object* schema = property.if_object();
    if (schema == nullptr) return "TEXT?";
    const json::value* type = schema->if_contains("type");
    const bool string = type != nullptr && *type == json::value("string");
    const json::value* choices = schema->if_contains("enum");
    if (choices != nullptr && choices->is_array() && std::ranges::all_of(choices->get_array(), is_text)) {
      std::vector<std::string> texts;
      for (const json::value& one : choices->get_array()) texts.push_back(quoted(text::view(one.get_string())));
      return cat("(", joined(texts), ")");
    }
    if (string) {
      for (const std::string_view key : {"pattern", "format", "minLength", "maxLength", "const"})
        if (schema->contains(json::string_view(key.data(), key.size())))
          throw_unsupported(where, cat("strict: this model writes strings without quotes, and free of \"", key, "\""));
      return "TEXT?";
    }
    json::object whole = *schema;
    for (const std::string_view key : {"$defs", "definitions"})
      if (const auto* defined = root.if_contains(json::string_view(key.data(), key.size())))
        whole[json::string_view(key.data(), key.size())] = *defined;
    return json_rule(std::move(name), whole);
  }

  // ---- text or calls, as the model likes

  std::string free_start() {
    // An object at the beginning is Llama's form of a call, and is read as one where Qwen2.5-Coder leaves the markers
    // out.
    const bool hermes = format_ == ToolFormat::hermes, llama = format_ == ToolFormat::llama3;
    const std::string_view prose = hermes || llama ? "[ \\n]*[^ \\n{](.|\\n)*" : "(.|\\n)+";
    std::string start = "PROSE? calls?";
    if (llama || asked_.find_token(opening())) {
      rules_ += cat("PROSE: /", prose, "/\n");
      if (llama) return "(calls | PROSE)?";
    } else {
      // A marker that the vocabulary lacks is text: what has none, or what ends with the first.
      rules_ += cat("PROSE: /", prose, "/ & ~/(.|\\n)*", opening(), "(.|\\n)*/\n");
      rules_ += cat("lead[suffix=", quoted(opening()), "]: /(", prose, ")?/\n");
      start = "PROSE? | lead body";
    }
    if (!hermes) return start;
    std::vector<std::string> bare;
    for (std::size_t i = 0; i < tools_.size(); ++i) {
      bare.push_back(cat("bare", i));
      rule(bare.back(), cat(quoted(object_head(tools_[i].name, "arguments")), " ", arguments(i), " ", quoted("}")));
    }
    rule("bare", joined(bare));
    return cat("bare | ", start);
  }

  const CallGrammar& asked_;
  ToolFormat format_;
  const std::vector<text::Tool>& tools_;
  std::string rules_;
  std::vector<std::string> written_;  // rules of arguments
  bool any_object_ = false, any_text_ = false;
};

}  // namespace

constrain::Grammar call_grammar(const CallGrammar& asked) { return Writer(asked).write(); }

}  // namespace minke::api
