// Replies with tool calls, written as one text in which control tokens stand between \x01 and \x02, and what a parser
// makes of them however they are cut.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "text/tool_reply.h"

namespace minke::text {

struct Drawn {
  std::string text;
  bool control = false;
};

inline std::vector<Drawn> drawn_of(std::string_view marked) {
  std::vector<Drawn> list;
  while (!marked.empty()) {
    const bool control = marked.front() == '\x01';
    if (control) marked.remove_prefix(1);
    const std::size_t end = std::min(marked.find(control ? '\x02' : '\x01'), marked.size());
    list.push_back({std::string(marked.substr(0, end)), control});
    marked.remove_prefix(std::min(end + (control ? 1 : 0), marked.size()));
  }
  return list;
}

/// What a reply came to: thinking, content, and the calls; and in which order calls and content came.
struct ToolReply {
  std::string thinking, content;
  struct Call {
    std::string name, arguments;
    bool complete = true, ended = false;
    bool operator==(const Call&) const = default;
  };
  std::vector<Call> calls;
  bool orderly = true;  ///< arguments and ends only inside a call
  bool operator==(const ToolReply&) const = default;

  void add(const std::vector<ReplyPart>& parts) {
    for (const ReplyPart& part : parts) {
      const bool open = !calls.empty() && !calls.back().ended;
      switch (part.kind) {
        case ReplyPart::Kind::thinking:
          thinking += part.text;
          break;
        case ReplyPart::Kind::content:
          content += part.text;
          break;
        case ReplyPart::Kind::call:
          orderly = orderly && !open && !part.text.empty();
          calls.push_back({part.text, {}, true, false});
          break;
        case ReplyPart::Kind::arguments:
          orderly = orderly && open;
          if (open) calls.back().arguments += part.text;
          break;
        case ReplyPart::Kind::call_end:
          orderly = orderly && open;
          if (open) {
            calls.back().ended = true;
            calls.back().complete = part.complete;
          }
          break;
      }
    }
  }
};

inline std::ostream& operator<<(std::ostream& out, const ToolReply& reply) {
  out << "{thinking: \"" << reply.thinking << "\", content: \"" << reply.content << '"';
  for (const ToolReply::Call& call : reply.calls) {
    out << ", " << call.name << " <" << call.arguments << '>' << (call.complete ? "" : " incomplete");
  }
  return out << (reply.orderly ? "" : ", out of order") << "}";
}

/// A vocabulary that has an encoding's own markers as tokens, or none of them.
struct Reading {
  Encoding encoding = Encoding::qwen3;
  bool tokens = true;
  bool starts_in_thinking = false;
  bool cut = false;
};

template <typename NextSize>
ToolReply read_reply(const Reading& reading, const std::shared_ptr<const std::vector<Tool>>& tools,
                     const std::vector<Drawn>& reply, NextSize next_size) {
  const auto encoding = ChatEncoding::create(reading.encoding);
  ToolReplyParser parser(*encoding, tools, reading.starts_in_thinking,
                         [&reading](std::string_view) { return reading.tokens; });
  ToolReply total;
  for (const Drawn& drawn : reply) {
    std::vector<ReplyPart> parts;
    if (drawn.control && reading.tokens) {
      parser.push_control(drawn.text, parts);
      total.add(parts);
      continue;
    }
    for (std::size_t at = 0; at < drawn.text.size();) {
      const std::size_t size = std::min(next_size(), drawn.text.size() - at);
      parts.clear();
      parser.push(std::string_view(drawn.text).substr(at, size), parts);
      total.add(parts);
      at += size;
    }
  }
  std::vector<ReplyPart> parts;
  parser.finish(reading.cut, parts);
  total.add(parts);
  if (!total.calls.empty() && !total.calls.back().ended) total.orderly = false;
  return total;
}

}  // namespace minke::text
