#include "api/answer_format.h"

#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/quote.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using Kind = constrain::Grammar::Kind;

AnswerFormat format(Kind kind, std::string text, std::string place) {
  return {.grammar = {kind, std::move(text), {}}, .place = std::move(place)};
}

/// A schema as an object, or, where `as_text` may be, as a string of JSON.
AnswerFormat schema(const Fields& fields, std::string_view key, bool as_text = false) {
  const std::string place = fields.place(key);
  const json::value* value = fields.find(key);
  if (value == nullptr) throw ApiError(Fault::malformed, base::cat(place, ": missing"), place);
  if (as_text && value->is_string())
    return format(Kind::json_schema, std::string(text::view(value->get_string())), place);
  if (!value->is_object()) throw_wrong_type(place, "a schema, which is an object", *value);
  return format(Kind::json_schema, json::serialize(*value), place);
}

std::string given_text(const Fields& fields, std::string_view key) {
  const auto text = fields.text(key);
  if (!text) throw ApiError(Fault::malformed, base::cat(fields.place(key), ": missing"), fields.place(key));
  return std::string(*text);
}

/// The grammars of llama.cpp (GBNF) and of vLLM (EBNF) are another language than the one that is understood here.
AnswerFormat grammar(const Fields& fields, std::string_view key) {
  const std::string place = fields.place(key);
  std::string text = given_text(fields, key);
  if (text.size() > constrain::Grammar::kMaxLarkBytes)
    throw_invalid(place,
                  base::cat("a grammar has at most ", constrain::Grammar::kMaxLarkBytes, " bytes, got ", text.size()));
  if (text.find("::=") != std::string::npos)
    throw_unsupported(place, "rules with ::= (GBNF, EBNF) are not read; send llguidance's form of Lark: RULE: ...");
  return format(Kind::lark, std::move(text), place);
}

AnswerFormat choice(const Fields& fields, std::string_view key) {
  AnswerFormat out = format(Kind::choice, {}, fields.place(key));
  for (const json::value& one : *fields.array(key)) {
    out.grammar.choices.emplace_back(text_of(one, base::cat(out.place, "[", out.grammar.choices.size(), "]")));
  }
  return out;
}

/// {"type": "json_schema", ...}; `inner`: where the schema lies under a key of that name, as OpenAI's chats have it.
std::optional<AnswerFormat> typed(const Fields& fields, bool inner) {
  const std::string_view type = fields.text("type").value_or("text");
  if (type == "text") return std::nullopt;
  if (type == "json_object") {
    // With a schema, as llama.cpp's server takes it.
    if (fields.find("schema") != nullptr) return schema(fields, "schema");
    return format(Kind::json_object, {}, fields.place("type"));
  }
  if (type == "json_schema") {
    if (!inner) return schema(fields, "schema");
    const auto wrapper = fields.object("json_schema");
    if (wrapper) return schema(*wrapper, "schema");
    return schema(fields, "schema");
  }
  throw_unsupported(fields.place("type"),
                    base::cat("expected text, json_object or json_schema, got ", base::quote_name(type)));
}

/// Of several fields at most one may ask for something.
class OneOf {
 public:
  void add(std::optional<AnswerFormat> format) {
    if (!format) return;
    if (found) throw_invalid(format->place, base::cat("at most one of this and ", found->place));
    found = std::move(format);
  }
  std::optional<AnswerFormat> found;
};

/// Whether a field asks for anything: clients send "" and [] for nothing.
bool asks(const Fields& fields, std::string_view key) {
  const json::value* value = fields.find(key);
  if (value == nullptr || value->is_null()) return false;
  if (value->is_string()) return !value->get_string().empty();
  return !value->is_array() || !value->get_array().empty();
}

void add_structured_outputs(const Fields& fields, OneOf& formats) {
  if (asks(fields, "json")) formats.add(schema(fields, "json", true));
  if (asks(fields, "regex")) formats.add(format(Kind::regex, given_text(fields, "regex"), fields.place("regex")));
  if (asks(fields, "choice")) formats.add(choice(fields, "choice"));
  if (asks(fields, "grammar")) formats.add(grammar(fields, "grammar"));
  if (fields.flag("json_object").value_or(false))
    formats.add(format(Kind::json_object, {}, fields.place("json_object")));
  if (asks(fields, "structural_tag")) throw_unsupported(fields.place("structural_tag"), "send tools, or a grammar");
}

}  // namespace

std::optional<AnswerFormat> parse_answer_format(const Fields& request) {
  OneOf formats;
  if (const auto asked = request.object("response_format")) formats.add(typed(*asked, true));
  if (asks(request, "guided_json")) formats.add(schema(request, "guided_json", true));
  if (asks(request, "guided_regex"))
    formats.add(format(Kind::regex, given_text(request, "guided_regex"), request.place("guided_regex")));
  if (asks(request, "guided_choice")) formats.add(choice(request, "guided_choice"));
  if (asks(request, "guided_grammar")) formats.add(grammar(request, "guided_grammar"));
  if (const auto asked = request.object("structured_outputs")) add_structured_outputs(*asked, formats);
  if (asks(request, "json_schema")) formats.add(schema(request, "json_schema", true));
  if (asks(request, "grammar")) formats.add(grammar(request, "grammar"));
  return std::move(formats.found);
}

std::optional<AnswerFormat> parse_text_format(const Fields& request) {
  const auto text = request.object("text");
  const auto asked = text ? text->object("format") : std::nullopt;
  return asked ? typed(*asked, false) : std::nullopt;
}

std::optional<AnswerFormat> parse_output_format(const Fields& request) {
  OneOf formats;
  if (const auto asked = request.object("output_format")) formats.add(typed(*asked, false));
  const auto config = request.object("output_config");
  if (const auto asked = config ? config->object("format") : std::nullopt) formats.add(typed(*asked, false));
  return std::move(formats.found);
}

std::optional<AnswerFormat> parse_ollama_format(const Fields& request) {
  if (!asks(request, "format")) return std::nullopt;
  const json::value* value = request.find("format");
  if (value->is_object()) return schema(request, "format");
  if (text_of(*value, "format") == "json") return format(Kind::json_object, {}, "format");
  throw_invalid("format", base::cat("expected \"json\" or a schema, got ", text::describe_json(*value)));
}

}  // namespace minke::api
