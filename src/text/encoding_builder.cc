#include "text/encoding_builder.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/python_json.h"

namespace minke::text {
namespace {

// The non-ASCII characters of Python's str.isspace() (Unicode bidirectional type WS, B or S, or category
// Zs), as UTF-8.
constexpr std::array<std::string_view, 19> kWideSpaces = {
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

bool is_ascii_space(char c) { return (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= ' '); }

std::size_t leading_space(std::string_view text) {
  if (is_ascii_space(text.front())) return 1;
  for (const std::string_view space : kWideSpaces) {
    if (text.starts_with(space)) return space.size();
  }
  return 0;
}

std::size_t trailing_space(std::string_view text) {
  if (is_ascii_space(text.back())) return 1;
  for (const std::string_view space : kWideSpaces) {
    if (text.ends_with(space)) return space.size();
  }
  return 0;
}

}  // namespace

PromptBuilder& PromptBuilder::control(std::string_view spelling) {
  prompt_.pieces.push_back({std::string(spelling), true});
  if (opening_) prompt_.opening.push_back(prompt_.pieces.back());
  return *this;
}

void PromptBuilder::append_plain(std::vector<PromptPiece>& pieces, std::string_view text) {
  if (pieces.empty() || pieces.back().control || !pieces.back().tokens.empty()) pieces.emplace_back();
  pieces.back().text.append(text);
}

PromptBuilder& PromptBuilder::plain(std::string_view text) {
  if (text.empty()) return *this;
  append_plain(prompt_.pieces, text);
  if (opening_) append_plain(prompt_.opening, text);
  return *this;
}

PromptBuilder& PromptBuilder::marked(std::string_view text, std::span<const std::string_view> markers) {
  while (!text.empty()) {
    std::size_t next = text.size(), size = 0;
    for (const std::string_view marker : markers) {
      const std::size_t at = text.find(marker);
      if (at < next) {
        next = at;
        size = marker.size();
      }
    }
    plain(text.substr(0, next));
    if (size > 0) control(text.substr(next, size));
    text.remove_prefix(next + size);
  }
  return *this;
}

PromptBuilder& PromptBuilder::replay(const SampledTurn& turn) {
  for (const PromptPiece& piece : turn.opening) {
    if (piece.control) {
      control(piece.text);
    } else {
      plain(piece.text);
    }
  }
  if (!turn.tokens.empty()) prompt_.pieces.push_back({turn.text, false, turn.tokens});
  return *this;
}

PromptBuilder& PromptBuilder::open_reply() {
  opening_ = true;
  return *this;
}

PromptBuilder& PromptBuilder::begin_thinking() {
  prompt_.starts_in_thinking = true;
  return control(kThinkBegin);
}

PromptBuilder& PromptBuilder::open_thinking() { return begin_thinking().plain("\n"); }

PromptBuilder& PromptBuilder::skip_thinking() {
  return control(kThinkBegin).plain("\n\n").control(kThinkEnd).plain("\n\n");
}

std::string_view python_strip(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = leading_space(text);
    if (size == 0) break;
    text.remove_prefix(size);
  }
  while (!text.empty()) {
    const std::size_t size = trailing_space(text);
    if (size == 0) break;
    text.remove_suffix(size);
  }
  return text;
}

std::string_view strip_leading_newlines(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

std::string_view strip_trailing_newlines(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);  // npos + 1 == 0: nothing but newlines
}

std::string_view after_last(std::string_view text, std::string_view separator) {
  const std::size_t at = text.rfind(separator);
  return at == std::string_view::npos ? text : text.substr(at + separator.size());
}

std::string_view before_first(std::string_view text, std::string_view separator) {
  return text.substr(0, text.find(separator));
}

AssistantTurn split_turn(const Message& message) {
  const std::string_view text = message.content;
  if (message.reasoning) return {*message.reasoning, text};
  if (!contains(text, kThinkEnd)) return {{}, text};
  const std::string_view before = strip_trailing_newlines(before_first(text, kThinkEnd));
  return {strip_leading_newlines(after_last(before, kThinkBegin)), strip_leading_newlines(after_last(text, kThinkEnd))};
}

void refuse_tools(Encoding encoding, std::span<const Message> messages, const RenderOptions& options) {
  const auto refuse = [encoding](std::string_view what) {
    throw base::Error(base::ErrorCode::unsupported,
                      base::cat(what, ": the ", to_string(encoding), " encoding has no form for tools"),
                      "its model was not trained to call any; leave tools out, or choose another model");
  };
  if (!options.tools.empty()) refuse("tools");
  for (const Message& message : messages) {
    if (message.role == Role::tool) refuse("a tool's message");
    if (!message.tool_calls.empty()) refuse("tool_calls");
  }
}

std::string arguments_object(const ToolCall& call) {
  if (python_strip(call.arguments).empty()) return "{}";
  if (json_members(call.arguments)) {
    if (std::optional<std::string> object = python_json(call.arguments)) return *std::move(object);
  }
  std::string wrapped = "{\"arguments\": \"";
  append_json_escaped(wrapped, call.arguments);
  return wrapped + "\"}";
}

void throw_no_messages(Encoding encoding) {
  throw base::Error(base::ErrorCode::invalid_argument,
                    base::cat("messages: expected at least one for the ", to_string(encoding), " encoding, got none"));
}

}  // namespace minke::text
