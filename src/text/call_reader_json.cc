// Calls that are JSON objects: Hermes' (Qwen2.5, Qwen3: between <tool_call> and </tool_call>) and Llama-3.1's (the
// whole reply). Qwen2.5-Coder writes Hermes' object without the markers, often in a fence: that is a call too, but
// only at the reply's start and with the name of a tool that was offered.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "text/call_reader.h"
#include "text/python_json.h"

namespace minke::text {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }

// One object {"name": ..., "arguments": {...}} (or "parameters"), in any order, as it streams.
class CallObject {
 public:
  enum class Status { reading, done, refused };

  /// `known`: only these names make it a call, and only with arguments. Null: any name.
  explicit CallObject(const std::span<const Tool>* known) : known_(known) {}

  /// How much of `text` was read; less than all of it once status() is not `reading`.
  std::size_t feed(std::string_view text, PartSink& out) {
    std::size_t at = 0;
    while (at < text.size() && status_ == Status::reading) {
      if (place_ == Place::value) {
        at += value(text.substr(at), out);
      } else {
        take(text[at], out);
        if (!unread_) ++at;
      }
    }
    if (!begun_) read_.append(text.substr(0, at));
    return at;
  }

  Status status() const { return status_; }
  /// The call has come out.
  bool begun() const { return begun_; }
  bool in_string() const { return place_ == Place::key || (place_ == Place::value && extent_.in_string()); }
  /// What was read, where no call came of it.
  std::string take_text() { return std::exchange(read_, {}); }
  /// The object is not going to go on.
  void end(PartSink& out) {
    if (begun_ && status_ == Status::reading) out.call_end(arguments_done_);
    status_ = begun_ ? Status::done : Status::refused;
  }

 private:
  enum class Place { before, key_or_end, key, colon, value, after_value };
  enum class Field { name, arguments, other };

  void take(char c, PartSink& out) {
    switch (place_) {
      case Place::before:
        place_ = Place::key_or_end;  // the caller saw the brace
        break;
      case Place::key_or_end:
        if (c == '"') {
          place_ = Place::key;
          key_.assign(1, c);
          escaped_ = false;
        } else if (c == '}') {
          close(out);
        } else if (!is_space(c)) {
          broken(out);
        }
        break;
      case Place::key:
        key_.push_back(c);
        if (escaped_) {
          escaped_ = false;
        } else if (c == '\\') {
          escaped_ = true;
        } else if (c == '"') {
          place_ = Place::colon;
        }
        break;
      case Place::colon:
        if (c == ':') {
          begin_value(out);
        } else if (!is_space(c)) {
          broken(out);
        }
        break;
      case Place::value:
        break;  // value()
      case Place::after_value:
        if (c == ',') {
          place_ = Place::key_or_end;
        } else if (c == '}') {
          close(out);
        } else if (!is_space(c)) {
          broken(out);
        }
        break;
    }
  }

  void begin_value(PartSink& out) {
    const std::string key = json_string(key_).value_or("");
    // An object that is not marked as a call and has other members is the model's answer: it need not wait for its end.
    constexpr std::array<std::string_view, 5> kMembers = {"name", "arguments", "parameters", "type", "id"};
    if (known_ != nullptr && std::ranges::find(kMembers, key) == kMembers.end()) return broken(out);
    field_ = Field::other;
    if (key == "name" && !name_) field_ = Field::name;
    if ((key == "arguments" || key == "parameters") && !has_arguments_) field_ = Field::arguments;
    place_ = Place::value;
    extent_ = {};
    value_.clear();
    value_is_string_ = false;
    if (field_ == Field::arguments) has_arguments_ = true;
  }

  // A value's text. Numbers and words end at what may follow them.
  std::size_t value(std::string_view text, PartSink& out) {
    std::size_t at = 0;
    if (!extent_.started()) {
      while (at < text.size() && is_space(text[at])) ++at;
      if (at == text.size()) return at;
      if (text[at] == ',' || text[at] == '}') {  // no value at all
        broken(out);
        return at;
      }
      const char first = text[at];
      value_is_string_ = first == '"';
      nests_ = first == '{' || first == '[' || value_is_string_;
      if (field_ == Field::name && !value_is_string_) field_ = Field::other;
    }
    std::string_view piece = text.substr(at);
    bool ended = false;
    if (nests_) {
      piece = piece.substr(0, extent_.feed(piece));
      ended = extent_.ended();
    } else {
      const std::size_t end = std::min(piece.find_first_of(",} \t\r\n"), piece.size());
      ended = end < piece.size();
      piece = piece.substr(0, end);
      extent_.feed(piece);
    }
    take_value(piece, ended, out);
    if (ended) place_ = Place::after_value;
    return at + piece.size();
  }

  void take_value(std::string_view piece, bool ended, PartSink& out) {
    if (field_ == Field::other) return;
    if (field_ == Field::arguments && nests_ && !value_is_string_) {
      if (name_ && !begun_) begin(out);
      if (begun_) {
        out.arguments(piece);
      } else if (status_ == Status::reading) {
        early_.append(piece);
      }
      arguments_done_ = ended;
      return;
    }
    value_.append(piece);
    if (!ended) return;
    if (field_ == Field::name) {
      name_ = json_string(value_);
      if (!name_ || (known_ != nullptr && !is_tool(*known_, *name_))) return broken(out);
      if (has_arguments_ && arguments_done_) begin(out);
      return;
    }
    // Arguments as a string (JSON within JSON), or null.
    arguments_done_ = true;
    early_ = value_is_string_ ? json_string(value_).value_or(value_) : (value_ == "null" ? "{}" : value_);
    if (name_) begin(out);
  }

  void begin(PartSink& out) {
    const std::string name = name_.value_or("");
    if (known_ != nullptr && !is_tool(*known_, name)) return broken(out);
    begun_ = true;
    read_.clear();
    out.call(name);
    out.arguments(early_);
    early_.clear();
  }

  void close(PartSink& out) {
    if (!begun_ && name_ && (known_ == nullptr || has_arguments_)) begin(out);
    if (!begun_) {
      status_ = Status::refused;
      return;
    }
    if (!has_arguments_) out.arguments("{}");
    out.call_end(true);
    status_ = Status::done;
  }

  // What follows is no object's. A call that is out already ends where it stands.
  void broken(PartSink& out) {
    unread_ = true;
    if (begun_) out.call_end(arguments_done_);
    status_ = begun_ ? Status::done : Status::refused;
  }

  const std::span<const Tool>* known_;
  Status status_ = Status::reading;
  Place place_ = Place::before;
  Field field_ = Field::other;
  JsonExtent extent_;
  std::string key_, value_, early_, read_;
  std::optional<std::string> name_;
  bool escaped_ = false, nests_ = false, value_is_string_ = false;
  bool has_arguments_ = false, arguments_done_ = false, begun_ = false;
  bool unread_ = false;  // the last character was not for this object
};

// What may stand before an object that comes without markers, white space left out: nothing or a fence at the
// reply's start; after another call also the end of its fence, or what Llama puts between calls.
constexpr std::array<std::string_view, 7> kHermesStart = {"", "```json", "```", "<tools>", "[", "```json[", "<tools>["};
constexpr std::array<std::string_view, 18> kHermesBetween = {"",
                                                             ";",
                                                             ",",
                                                             "```",
                                                             "```json",
                                                             "``````json",
                                                             "``````",
                                                             "```<tools>",
                                                             "```,```json",
                                                             "<tools>",
                                                             "</tools>",
                                                             "</tools>```json",
                                                             "</tools><tools>",
                                                             "</tools>,<tools>",
                                                             "</tools>```",
                                                             "]",
                                                             "]```",
                                                             "]</tools>"};
constexpr std::array<std::string_view, 1> kLlamaStart = {""};
constexpr std::array<std::string_view, 3> kLlamaBetween = {"", ";", ","};

class JsonCallReader final : public CallReader {
 public:
  JsonCallReader(ToolFormat format, std::span<const Tool> tools)
      : hermes_(format == ToolFormat::hermes), tools_(tools), object_(&tools_) {}

  void text(std::string_view text, PartSink& out) override {
    while (!text.empty()) text.remove_prefix(step(text, out));
  }

  void marker(Marker marker, std::string_view spelling, PartSink& out) override {
    if (!hermes_) return;  // <|python_tag|> announces a call, which what follows must be
    if (marker == Marker::call_begin) {
      if (outside() && content_.quoting()) return quoted(spelling, out);
      leave(out);
      state_ = State::opened;
      spelling_ = spelling;
    } else if (marker == Marker::call_end) {
      if (outside()) {
        if (content_.quoting() || prose_) quoted(spelling, out);
        return;  // the end of what has begun nowhere
      }
      leave(out);
      content_.drop();
      state_ = State::between;
      bare_ = false;
    }
  }

  void finish(bool /*cut*/, PartSink& out) override {
    leave(out);
    if (state_ != State::between) content_.finish(out);
  }

  bool idle() const override { return outside() && held_.empty(); }
  bool in_string() const override { return (state_ == State::object || state_ == State::bare) && object_.in_string(); }

 private:
  enum class State {
    start,    // white space so far, and what may open a bare call
    content,  // outside calls
    opened,   // after <tool_call>
    object,   // in the object after it
    broken,   // still before </tool_call>, but not in a call: content
    bare,     // in an object without markers
    between,  // after a call: white space, the end of a fence, or another
  };

  bool outside() const { return state_ == State::start || state_ == State::content || state_ == State::between; }

  std::size_t step(std::string_view text, PartSink& out) {
    switch (state_) {
      case State::start:
      case State::between:
        return before_object(text.front(), out);
      case State::content:
      case State::broken:
        content_.text(text, out);
        return text.size();
      case State::opened:
        return opened(text, out);
      case State::object:
      case State::bare:
        return object(text, out);
    }
    return text.size();
  }

  std::span<const std::string_view> openings() const {
    if (state_ == State::start) return hermes_ ? std::span<const std::string_view>(kHermesStart) : kLlamaStart;
    return hermes_ ? std::span<const std::string_view>(kHermesBetween) : kLlamaBetween;
  }

  // Where a bare object may begin. `word_` is `held_` without white space, never longer than an opening.
  std::size_t before_object(char c, PartSink& out) {
    if (is_space(c)) {
      held_.push_back(c);
      return 1;
    }
    const bool may_be_bare = !tools_.empty() && (state_ == State::start || bare_);
    if (may_be_bare && c == '{' && std::ranges::find(openings(), word_) != openings().end()) {
      before_ = std::exchange(held_, {});
      word_.clear();
      object_ = CallObject(&tools_);
      state_ = State::bare;
      return object("{", out);
    }
    word_.push_back(c);
    held_.push_back(c);
    const bool open = may_be_bare && std::ranges::any_of(openings(), [this](std::string_view opening) {
                        return opening.starts_with(word_);
                      });
    if (!open) to_content(out);
    return 1;
  }

  void to_content(PartSink& out) {
    state_ = State::content;
    content_.text(held_, out);
    held_.clear();
    word_.clear();
  }

  std::size_t opened(std::string_view text, PartSink& out) {
    const char c = text.front();
    if (is_space(c)) {
      held_.push_back(c);
      return 1;
    }
    if (c == '{') {
      held_.clear();
      object_ = CallObject(nullptr);
      state_ = State::object;
      return object(text, out);
    }
    // On the marker's own line something else: prose that names the marker. On the next: a call gone wrong.
    const bool prose = held_.find('\n') == std::string::npos;
    state_ = prose ? State::content : State::broken;
    prose_ = prose;
    if (prose) {
      content_.text(spelling_, out);
      content_.text(held_, out);
    }
    held_.clear();
    return step(text, out);
  }

  std::size_t object(std::string_view text, PartSink& out) {
    const bool before = object_.begun();
    std::vector<ReplyPart> found;
    PartSink sink(found);
    const std::size_t read = object_.feed(text, sink);
    if (!before && object_.begun()) content_.drop();
    for (ReplyPart& part : found) out.add(std::move(part));
    if (object_.status() == CallObject::Status::reading) return read;
    const bool bare = state_ == State::bare;
    if (object_.begun()) {
      bare_ = bare;
      prose_ = false;
      state_ = bare ? State::between : State::broken;
    } else {
      give_up(out);
    }
    return read;
  }

  // The object was no call: it is content, without the markers around it.
  void give_up(PartSink& out) {
    const bool bare = state_ == State::bare;
    state_ = bare ? State::content : State::broken;
    if (bare) content_.text(std::exchange(before_, {}), out);
    content_.text(object_.take_text(), out);
  }

  // Whatever is open ends here.
  void leave(PartSink& out) {
    if (state_ == State::object || state_ == State::bare) {
      object_.end(out);
      if (object_.begun()) {
        state_ = State::between;
      } else {
        give_up(out);
      }
    }
    if (state_ == State::broken || state_ == State::opened) state_ = State::content;
    if (state_ == State::start || (state_ == State::between && !word_.empty() && !closes_fence())) to_content(out);
    held_.clear();
    word_.clear();
  }

  bool closes_fence() const { return bare_ && std::ranges::find(openings(), word_) != openings().end(); }

  void quoted(std::string_view spelling, PartSink& out) {
    if (state_ != State::content) leave(out);
    state_ = State::content;
    prose_ = true;
    content_.text(spelling, out);
  }

  bool hermes_;
  std::span<const Tool> tools_;
  State state_ = State::start;
  CallObject object_;
  ContentHold content_;
  std::string held_, word_;  // what may open a call
  std::string before_;       // what stood before a bare object
  std::string spelling_;     // of the last opening marker
  bool prose_ = false;       // an opening marker was quoted: its end is text as well
  bool bare_ = false;        // the last call came without markers
};

}  // namespace

std::unique_ptr<CallReader> make_json_call_reader(ToolFormat format, std::span<const Tool> tools) {
  return std::make_unique<JsonCallReader>(format, tools);
}

}  // namespace minke::text
