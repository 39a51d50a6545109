#include "text/call_reader.h"

#include <algorithm>
#include <utility>

namespace minke::text {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

void PartSink::add(ReplyPart::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (parts_->empty() || parts_->back().kind != kind) parts_->push_back({kind, {}});
  parts_->back().text.append(text);
}

void PartSink::add(ReplyPart&& part) {
  if (part.kind == ReplyPart::Kind::call || part.kind == ReplyPart::Kind::call_end) {
    parts_->push_back(std::move(part));
  } else {
    add(part.kind, part.text);
  }
}

void ContentHold::text(std::string_view text, PartSink& out) {
  if (text.empty()) return;
  const std::size_t size = text.find_last_not_of(kSpace) + 1;  // 0 when there is only white space
  if (size > 0) {
    out.content(space_);
    space_.clear();
    out.content(text.substr(0, size));
  }
  space_.append(text.substr(size));
  quoting_ = text.back() == '`';
}

void ContentHold::finish(PartSink& out) {
  out.content(space_);
  space_.clear();
}

std::size_t JsonExtent::feed(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && !ended_) {
    const char c = text[at++];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
        ended_ = depth_ == 0;
      }
      continue;
    }
    if (c == '"') {
      started_ = in_string_ = true;
    } else if (c == '{' || c == '[') {
      started_ = true;
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0) {
      --depth_;
      ended_ = depth_ == 0;
    } else if (kSpace.find(c) == std::string_view::npos) {
      started_ = true;
    }
  }
  return at;
}

bool is_tool(std::span<const Tool> tools, std::string_view name) {
  return std::ranges::any_of(tools, [name](const Tool& tool) { return tool.name == name; });
}

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kSpace) + 1 - from);
}

std::unique_ptr<CallReader> make_call_reader(ToolFormat format, std::span<const Tool> tools) {
  switch (format) {
    case ToolFormat::none:
      return nullptr;
    case ToolFormat::hermes:
    case ToolFormat::llama3:
      return make_json_call_reader(format, tools);
    case ToolFormat::deepseek:
    case ToolFormat::deepseek_v3_1:
      return make_deepseek_call_reader(tools);
    case ToolFormat::glm:
      return make_glm_call_reader(tools);
  }
  return nullptr;
}

std::vector<MarkerSpelling> marker_spellings(ToolFormat format) {
  std::vector<MarkerSpelling> list;
  if (format == ToolFormat::hermes || format == ToolFormat::glm) {
    list.push_back({"<tool_call>", Marker::call_begin});
    list.push_back({"</tool_call>", Marker::call_end});
  }
  if (format == ToolFormat::glm) {
    list.push_back({"<arg_key>", Marker::key_begin});
    list.push_back({"</arg_key>", Marker::key_end});
    list.push_back({"<arg_value>", Marker::value_begin});
    list.push_back({"</arg_value>", Marker::value_end});
  }
  if (format == ToolFormat::llama3) list.push_back({"<|python_tag|>", Marker::call_begin});
  if (format == ToolFormat::deepseek || format == ToolFormat::deepseek_v3_1) {
    // Distills, whose vocabularies lack the tokens, spell them in several ways.
    for (const std::string_view bar : {"｜", "|"}) {
      for (const std::string_view gap : {"▁", "_", " ", "\\_"}) {
        const auto spelled = [&](std::string_view a, std::string_view b, std::string_view c) {
          std::string text = "<";
          text.append(bar).append(a).append(gap).append(b);
          if (!c.empty()) text.append(gap).append(c);
          return text.append(bar).append(">");
        };
        list.push_back({spelled("tool", "calls", "begin"), Marker::calls_begin});
        list.push_back({spelled("tool", "calls", "end"), Marker::calls_end});
        list.push_back({spelled("tool", "call", "begin"), Marker::call_begin});
        list.push_back({spelled("tool", "call", "end"), Marker::call_end});
        list.push_back({spelled("tool", "sep", ""), Marker::separator});
      }
    }
  }
  return list;
}

}  // namespace minke::text
