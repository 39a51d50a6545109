// GLM-4.5's calls and later ones:
//   <tool_call>NAME\n<arg_key>KEY</arg_key>\n<arg_value>VALUE</arg_value>\n</tool_call>    (4.7 without the newlines)
// Values become JSON by the type that the tool's schema gives them.
#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "text/call_reader.h"
#include "text/python_json.h"

namespace minke::text {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kLongestName = 256;

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kLongestName && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80 ||
           std::string_view("_-.:/").find(c) != std::string_view::npos;
  });
}

/// What a schema allows for a value.
struct Allowed {
  bool known = false;                  ///< the schema says something
  bool text = false;                   ///< strings
  bool number = false, other = false;  ///< null, booleans, objects and arrays are `other`
};

std::string_view find_value(const std::vector<JsonMember>& members, std::string_view name) {
  for (const JsonMember& member : members) {
    if (member.name == name) return member.value;
  }
  return {};
}

void allow_type(std::string_view type, Allowed& allowed) {
  allowed.known = true;
  if (type == "string") {
    allowed.text = true;
  } else if (type == "number" || type == "integer") {
    allowed.number = true;
  } else {
    allowed.other = true;
  }
}

void allow_value(std::string_view json, Allowed& allowed) {
  allowed.known = true;
  if (json.starts_with('"')) {
    allowed.text = true;
  } else {
    allowed.number = allowed.other = true;
  }
}

// "type", "enum", "const", and the alternatives of "anyOf" and "oneOf".
void allow(std::string_view schema, Allowed& allowed) {
  const auto members = json_members(schema);
  if (!members) return;
  const std::string_view type = find_value(*members, "type");
  if (const auto name = json_string(type)) allow_type(*name, allowed);
  if (const auto names = json_elements(type)) {
    for (const std::string_view one : *names) allow_type(json_string(one).value_or(""), allowed);
  }
  if (type.empty()) {
    if (const auto values = json_elements(find_value(*members, "enum"))) {
      for (const std::string_view value : *values) allow_value(value, allowed);
    }
    if (const std::string_view value = find_value(*members, "const"); !value.empty()) allow_value(value, allowed);
  }
  for (const std::string_view several : {"anyOf", "oneOf", "allOf"}) {
    if (const auto schemas = json_elements(find_value(*members, several))) {
      for (const std::string_view one : *schemas) allow(one, allowed);
    }
  }
}

Allowed allowed_for(std::span<const Tool> tools, std::string_view tool, std::string_view parameter) {
  Allowed allowed;
  const auto it = std::ranges::find(tools, tool, &Tool::name);
  if (it == tools.end()) return allowed;
  const auto schema = json_members(it->parameters);
  if (!schema) return allowed;
  const auto properties = json_members(find_value(*schema, "properties"));
  if (properties) allow(find_value(*properties, parameter), allowed);
  return allowed;
}

// The longest name that `text` begins with: models sometimes leave out <arg_key> after it.
std::string_view tool_prefix(std::span<const Tool> tools, std::string_view text) {
  std::string_view best;
  for (const Tool& tool : tools) {
    if (text.starts_with(tool.name) && tool.name.size() > best.size()) best = tool.name;
  }
  return best;
}

class GlmCallReader final : public CallReader {
 public:
  explicit GlmCallReader(std::span<const Tool> tools) : tools_(tools) {}

  void text(std::string_view text, PartSink& out) override {
    while (!text.empty()) text.remove_prefix(step(text, out));
  }

  void marker(Marker marker, std::string_view spelling, PartSink& out) override {
    if (state_ == State::content) return outside_marker(marker, spelling, out);
    if (state_ == State::broken && marker != Marker::call_begin && marker != Marker::call_end) return;
    switch (marker) {
      case Marker::call_begin:
        leave(/*closed=*/false, out);
        outside_marker(marker, spelling, out);
        break;
      case Marker::call_end:
        leave(/*closed=*/true, out);
        break;
      case Marker::key_begin:
        if (state_ == State::name && !named(out)) break;
        end_value(out);
        held_.clear();
        state_ = State::key;
        break;
      case Marker::key_end:
        if (state_ == State::name && !name_and_key(out)) break;
        if (state_ == State::key) {
          key_ = std::string(trimmed(held_));
          held_.clear();
          state_ = State::after_key;
        }
        break;
      case Marker::value_begin:
        if (state_ == State::key) key_ = std::string(trimmed(std::exchange(held_, {})));
        if (state_ == State::key || state_ == State::after_key) begin_value(out);
        break;
      case Marker::value_end:
        end_value(out);
        break;
      default:
        break;
    }
  }

  void finish(bool cut, PartSink& out) override {
    leave(!cut && (state_ == State::between || state_ == State::name), out);
    if (called_) content_.drop();
    content_.finish(out);
  }

  bool idle() const override { return state_ == State::content; }

 private:
  enum class State {
    content,    // outside
    name,       // after <tool_call>
    between,    // after the name or a value
    key,        // after <arg_key>
    after_key,  // after </arg_key>
    value,      // after <arg_value>
    broken,     // no call: content up to </tool_call>
  };

  std::size_t step(std::string_view text, PartSink& out) {
    switch (state_) {
      case State::content:
        if (text.find_first_not_of(kSpace) != std::string_view::npos) called_ = false;
        content_.text(text, out);
        return text.size();
      case State::broken:
        content_.text(text, out);
        return text.size();
      case State::name:
        return name(text.front(), out);
      case State::key:
        held_.append(text);
        return text.size();
      case State::between:
        // Nothing may stand here; what does is said after the call.
        stray_.append(stray_.empty() ? text.substr(std::min(text.find_first_not_of(kSpace), text.size())) : text);
        return text.size();
      case State::after_key: {
        const std::size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
        if (begin < text.size()) begin_value(out);  // <arg_value> was left out
        return begin;
      }
      case State::value:
        value(text, out);
        return text.size();
    }
    return text.size();
  }

  void outside_marker(Marker marker, std::string_view spelling, PartSink& out) {
    if (content_.quoting() || (prose_ && marker != Marker::call_begin)) {
      prose_ = true;
      content_.text(spelling, out);
    } else if (marker == Marker::call_begin) {
      state_ = State::name;
      spelling_ = spelling;
      prose_ = false;
      own_line_ = false;
      held_.clear();
    }  // others belong to no call: dropped
  }

  // The name ends with its line or at the next marker. A first character that no name has: prose about the marker.
  std::size_t name(char c, PartSink& out) {
    const bool empty = trimmed(held_).empty();
    if (empty && !is_space(c) && !is_name(std::string_view(&c, 1))) {
      prose(out);
      return 0;
    }
    if (c == '\n' && !empty) {
      named(out);
      return 1;
    }
    if (empty && c == '\n') {
      own_line_ = true;
      return 1;
    }
    held_.push_back(c);
    if (held_.size() > kLongestName + 64) prose(out);
    return 1;
  }

  void prose(PartSink& out) {
    content_.text(spelling_, out);
    content_.text(std::exchange(held_, {}), out);
    state_ = State::content;
    prose_ = true;
  }

  // What is held is the name; false if it cannot be.
  bool named(PartSink& out) {
    const std::string name(trimmed(held_));
    if (!is_name(name)) {
      if (held_.starts_with(' ') && !own_line_) {  // "<tool_call> is the tag"
        prose(out);
        return false;
      }
      content_.text(std::exchange(held_, {}), out);
      state_ = State::broken;
      return false;
    }
    begin(name, out);
    held_.clear();
    return true;
  }

  bool name_and_key(PartSink& out) {
    const std::string text(trimmed(held_));
    const std::string_view name = tool_prefix(tools_, text);
    if (name.empty()) {
      named(out);
      return false;
    }
    begin(name, out);
    held_ = text.substr(name.size());
    state_ = State::key;
    return true;
  }

  void begin(std::string_view name, PartSink& out) {
    content_.drop();
    out.call(name);
    name_ = std::string(name);
    arguments_ = 0;
    called_ = true;
    state_ = State::between;
  }

  void begin_value(PartSink& out) {
    std::string text = arguments_++ == 0 ? "{\"" : ", \"";
    append_json_escaped(text, key_);
    text += "\": ";
    const Allowed allowed = allowed_for(tools_, name_, key_);
    streams_ = allowed.known && allowed.text && !allowed.number && !allowed.other;
    allowed_ = allowed;
    if (streams_) text += '"';
    out.arguments(text);
    held_.clear();
    state_ = State::value;
  }

  void value(std::string_view text, PartSink& out) {
    if (!streams_) {
      held_.append(text);
      return;
    }
    std::string escaped;
    append_json_escaped(escaped, text);
    out.arguments(escaped);
  }

  void end_value(PartSink& out) {
    if (state_ == State::after_key) begin_value(out);  // an empty value without its marker
    if (state_ != State::value) return;
    out.arguments(streams_ ? "\"" : as_json(std::exchange(held_, {})));
    state_ = State::between;
  }

  // JSON if it is some that the schema does not rule out, else a string.
  std::string as_json(const std::string& text) const {
    if (const auto json = python_json(text)) {
      const char first = json->front();
      const bool number = first == '-' || (first >= '0' && first <= '9');
      const bool fits = first == '"' ? !allowed_.text : (number ? allowed_.number : allowed_.other);
      if (!allowed_.known || fits || !allowed_.text) return *json;
    }
    const std::string_view word = trimmed(text);
    if (allowed_.known && allowed_.other && !allowed_.text) {  // as Python prints them
      if (word == "True") return "true";
      if (word == "False") return "false";
      if (word == "None") return "null";
    }
    std::string quoted = "\"";
    append_json_escaped(quoted, text);
    return quoted + '"';
  }

  // The call ends. Without its marker a value that is still open stays so, for nobody knows how it would have gone on.
  void leave(bool closed, PartSink& out) {
    if (state_ == State::name) {
      if (closed && is_name(trimmed(held_))) {
        named(out);
      } else if (held_.starts_with(' ') && !own_line_) {
        prose(out);
      } else {
        content_.text(std::exchange(held_, {}), out);
        state_ = State::broken;
      }
    }
    if (state_ != State::content && state_ != State::broken) {
      if (closed && state_ == State::key) stray_ += held_;
      if (closed) end_value(out);
      if (!closed && state_ == State::value && !streams_) out.arguments(held_);
      if (closed) out.arguments(arguments_ == 0 ? "{}" : "}");
      out.call_end(closed);
      content_.text(std::exchange(stray_, {}), out);
    }
    if (state_ == State::broken) content_.drop();
    held_.clear();
    state_ = State::content;
  }

  std::span<const Tool> tools_;
  State state_ = State::content;
  ContentHold content_;
  Allowed allowed_;
  std::string held_, name_, key_, spelling_, stray_;
  std::size_t arguments_ = 0;
  bool streams_ = false;   // the value is a string for certain
  bool called_ = false;    // the last thing that came out was a call
  bool prose_ = false;     // an opening marker was quoted
  bool own_line_ = false;  // a line break stood between the opening marker and the name
};

}  // namespace

std::unique_ptr<CallReader> make_glm_call_reader(std::span<const Tool> tools) {
  return std::make_unique<GlmCallReader>(tools);
}

}  // namespace minke::text
