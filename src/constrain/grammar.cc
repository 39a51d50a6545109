#include "constrain/grammar.h"

#include <algorithm>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/json.h"

namespace minke::constrain {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

// JSON allows any amount of whitespace between its tokens, and models fall into writing nothing else: twenty characters
// are ten levels of two, or a line's end with indentation.
constexpr const char* kWhitespace = "[ \\n\\r\\t]{1,20}";

constexpr std::size_t kMaxChoices = 10000;

std::string with_bounded_whitespace(boost::json::object schema) {
  boost::json::object options;
  options["whitespace_pattern"] = kWhitespace;
  schema["x-guidance"] = std::move(options);
  return boost::json::serialize(schema);
}

std::string json_schema(const std::string& text) {
  const boost::json::value value = formats::parse_json(text, "JSON schema");
  if (const auto* object = value.if_object()) return with_bounded_whitespace(*object);
  if (const auto* flag = value.if_bool(); flag != nullptr && *flag) return with_bounded_whitespace({});
  throw Error(ErrorCode::invalid_argument, "JSON schema: expected an object, or true");
}

/// Letters, digits and bytes beyond ASCII mean themselves in a regular expression.
void append_literal(std::string& pattern, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (plain) {
      pattern.push_back(c);
    } else {
      pattern.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
}

std::string choice_pattern(const std::vector<std::string>& choices) {
  if (choices.empty() || choices.size() > kMaxChoices)
    throw Error(ErrorCode::invalid_argument,
                cat("choice: expected 1 to ", kMaxChoices, " texts, got ", choices.size()));
  std::string pattern;
  for (const std::string& choice : choices) {
    if (choice.empty()) throw Error(ErrorCode::invalid_argument, "choice: expected texts that are not empty");
    pattern.push_back(pattern.empty() ? '(' : '|');
    append_literal(pattern, choice);
    if (pattern.size() > 8 * Grammar::kMaxBytes) break;  // refused by the caller
  }
  return pattern + ")";
}

/// Brackets in one another, counted without understanding them: quoted ones only make the count higher.
std::size_t nesting(std::string_view text) {
  std::size_t depth = 0, most = 0;
  for (const char c : text) {
    if (c == '(' || c == '[' || c == '{') most = std::max(most, ++depth);
    if ((c == ')' || c == ']' || c == '}') && depth > 0) --depth;
  }
  return most;
}

}  // namespace

std::string_view to_string(Grammar::Kind kind) {
  switch (kind) {
    case Grammar::Kind::json_object:
      return "JSON object";
    case Grammar::Kind::json_schema:
      return "JSON schema";
    case Grammar::Kind::regex:
      return "regular expression";
    case Grammar::Kind::choice:
      return "choice";
    case Grammar::Kind::lark:
      return "grammar";
  }
  return "grammar";
}

std::string lark_expression(const Grammar& grammar) {
  if (grammar.kind == Grammar::Kind::json_object) return cat("%json ", with_bounded_whitespace({{"type", "object"}}));
  if (grammar.kind == Grammar::Kind::json_schema) return cat("%json ", json_schema(grammar.text));
  throw Error(ErrorCode::unsupported, cat(to_string(grammar.kind), ": expected JSON within a grammar"));
}

LibraryGrammar library_grammar(const Grammar& grammar) {
  const std::string_view name = to_string(grammar.kind);
  std::size_t bytes = grammar.text.size();
  for (const std::string& choice : grammar.choices) bytes += choice.size();
  if (bytes > Grammar::kMaxBytes)
    throw Error(ErrorCode::invalid_argument,
                cat(name, ": expected at most ", Grammar::kMaxBytes, " bytes, got ", bytes));
  LibraryGrammar result;
  switch (grammar.kind) {
    case Grammar::Kind::json_object:
      result = {"json", with_bounded_whitespace({{"type", "object"}})};
      break;
    case Grammar::Kind::json_schema:
      result = {"json", json_schema(grammar.text)};
      break;
    case Grammar::Kind::regex:
      result = {"regex", grammar.text};
      break;
    case Grammar::Kind::choice:
      result = {"regex", choice_pattern(grammar.choices)};
      break;
    case Grammar::Kind::lark:
      result = {"lark", grammar.text};
      break;
  }
  if (result.text.empty()) throw Error(ErrorCode::invalid_argument, cat(name, ": expected a text, got none"));
  if (result.text.find('\0') != std::string::npos || base::to_valid_utf8(result.text) != result.text)
    throw Error(ErrorCode::invalid_argument, cat(name, ": expected UTF-8 without zero bytes"));
  const bool is_json = grammar.kind == Grammar::Kind::json_object || grammar.kind == Grammar::Kind::json_schema;
  if (!is_json && nesting(result.text) > Grammar::kMaxNesting)
    throw Error(ErrorCode::invalid_argument,
                cat(name, ": expected brackets at most ", Grammar::kMaxNesting, " deep in one another"));
  return result;
}

}  // namespace minke::constrain
