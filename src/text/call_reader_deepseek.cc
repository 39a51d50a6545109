// DeepSeek's calls. V2.5, V3 and R1 write
//   <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n{...}\n```<｜tool▁call▁end｜>
// and V3.1 writes
//   <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜>
// between <｜tool▁calls▁begin｜> and <｜tool▁calls▁end｜>. One automaton reads both, since models mix them up.
#include <algorithm>
#include <utility>

#include "text/call_reader.h"

namespace minke::text {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kFunction = "function";  // the only type there is
constexpr std::string_view kFence = "```json", kLanguage = "json";
constexpr std::size_t kLongestName = 256;  // a name this long is none

class DeepSeekCallReader final : public CallReader {
 public:
  explicit DeepSeekCallReader(std::span<const Tool> tools) : tools_(tools) {}

  void text(std::string_view text, PartSink& out) override {
    while (!text.empty()) text.remove_prefix(step(text, out));
  }

  void marker(Marker marker, std::string_view spelling, PartSink& out) override {
    if (state_ == State::content && content_.quoting()) {
      content_.text(spelling, out);
      return;
    }
    switch (marker) {
      case Marker::calls_begin:
        leave(out);
        state_ = State::block;
        break;
      case Marker::call_begin:
        leave(out);
        state_ = State::header;
        break;
      case Marker::separator:
        if (state_ == State::header) {
          header_ = std::exchange(held_, {});
          state_ = State::body;
        }
        break;
      case Marker::call_end:
        closed_ = true;
        if (state_ != State::content) {
          leave(out);
          state_ = State::block;
        }
        break;
      case Marker::calls_end:
        closed_ = true;
        leave(out);
        content_.drop();
        break;
      default:
        break;
    }
    closed_ = false;
  }

  void finish(bool /*cut*/, PartSink& out) override {
    leave(out);
    if (called_) content_.drop();
    content_.finish(out);
  }

  bool idle() const override { return state_ == State::content; }
  bool in_string() const override { return state_ == State::arguments && extent_.in_string(); }

 private:
  enum class State {
    content,    // outside
    block,      // between calls: white space; anything else is content
    header,     // after <｜tool▁call▁begin｜>: a type or a name
    body,       // after <｜tool▁sep｜>, not yet decided what it is
    name,       // V3's name
    fence,      // after the name, before the arguments
    arguments,  // out comes what comes in
    tail,       // after the arguments' last brace: the end of the fence
  };

  std::size_t step(std::string_view text, PartSink& out) {
    switch (state_) {
      case State::content:
      case State::block:
      case State::tail:
        return outside(text, out);
      case State::header:
        held_.append(text);
        return text.size();
      case State::body:
        return body(text.front(), out);
      case State::name:
        return name(text, out);
      case State::fence:
        return fence(text.front());
      case State::arguments:
        return arguments(text, out);
    }
    return text.size();
  }

  std::size_t outside(std::string_view text, PartSink& out) {
    if (state_ != State::tail) {
      if (state_ == State::content && text.find_first_not_of(kSpace) != std::string_view::npos) called_ = false;
      content_.text(text, out);
      return text.size();
    }
    const std::size_t end = std::min(text.find_first_not_of(" \t\r\n`"), text.size());
    if (end < text.size()) {
      content_.text(text.substr(end), out);
      state_ = State::block;
    }
    return text.size();
  }

  // V3.1's arguments begin with a brace or a fence, V3's name with neither.
  std::size_t body(char c, PartSink& out) {
    if (kSpace.find(c) != std::string_view::npos) return 1;
    state_ = State::name;
    if (c == '{' || c == '`') name_ends(std::exchange(header_, {}), out);
    return 0;
  }

  // The arguments follow if it can be a name; else there is no call, and what there is is content.
  void name_ends(const std::string& text, PartSink& out) {
    const std::string_view name = trimmed(text);
    if (is_name(name)) {
      begin(name, out);
      state_ = State::fence;
    } else {
      if (name != kFunction) content_.text(text, out);
      state_ = State::block;
    }
  }

  bool is_name(std::string_view name) const {
    return !name.empty() && name.size() <= kLongestName && name.find('\n') == std::string_view::npos &&
           (name != kFunction || is_tool(tools_, name));
  }

  std::size_t name(std::string_view text, PartSink& out) {
    const std::size_t end = text.find_first_of("\n`{");
    if (end == std::string_view::npos) {
      held_.append(text);
      return text.size();
    }
    held_.append(text.substr(0, end));
    name_ends(std::exchange(held_, {}), out);
    return end;
  }

  // "```json\n", or less of it.
  std::size_t fence(char c) {
    if (kSpace.find(c) != std::string_view::npos) return 1;
    const std::string longer = fence_ + c;
    if (kFence.starts_with(longer) || kLanguage.starts_with(longer)) {
      fence_ = longer;
      return 1;
    }
    if (fence_ != "```" && fence_ != kFence && fence_ != kLanguage) held_ = fence_;
    state_ = State::arguments;
    extent_ = {};
    extent_.feed(held_);
    return 0;
  }

  std::size_t arguments(std::string_view text, PartSink& out) {
    const std::size_t size = extent_.feed(text);
    // Only what is no object goes on to the marker, and then the end of a fence may be held back.
    const std::string_view piece = text.substr(0, size);
    const std::size_t solid = extent_.ended() ? piece.size() : piece.find_last_not_of(" \t\r\n`") + 1;
    if (solid > 0) {
      out.arguments(held_);
      held_.clear();
      out.arguments(piece.substr(0, solid));
      any_arguments_ = true;
    }
    held_.append(piece.substr(solid));
    if (extent_.ended()) {
      out.call_end(true);
      open_ = false;
      state_ = State::tail;
    }
    return size;
  }

  void begin(std::string_view name, PartSink& out) {
    content_.drop();
    out.call(trimmed(name));
    open_ = called_ = true;
    any_arguments_ = false;
    fence_.clear();
  }

  // The call that is open, or what was going to be one, ends here.
  void leave(PartSink& out) {
    if (state_ == State::name || state_ == State::body) {
      // Nothing but a name: a call without arguments, if the call was closed.
      const std::string& text = state_ == State::body ? header_ : held_;
      if (closed_ && is_name(trimmed(text))) {
        begin(trimmed(text), out);
      } else {
        if (state_ == State::name && trimmed(header_) != kFunction) content_.text(header_, out);
        if (trimmed(text) != kFunction) content_.text(text, out);
      }
    } else if (state_ == State::header) {
      content_.text(held_, out);
    }
    if (open_) {
      const bool empty = !any_arguments_;
      if (empty && closed_) out.arguments("{}");
      out.call_end(empty && closed_);
    }
    open_ = false;
    held_.clear();
    header_.clear();
    fence_.clear();
    extent_ = {};
    state_ = State::content;
  }

  std::span<const Tool> tools_;
  State state_ = State::content;
  ContentHold content_;
  JsonExtent extent_;
  std::string held_, header_, fence_;
  bool open_ = false;           // a call is out and has not ended
  bool any_arguments_ = false;  // some of its arguments are out
  bool called_ = false;         // the last thing that came out was a call
  bool closed_ = false;         // the marker that closes a call is what ended it
};

}  // namespace

std::unique_ptr<CallReader> make_deepseek_call_reader(std::span<const Tool> tools) {
  return std::make_unique<DeepSeekCallReader>(tools);
}

}  // namespace minke::text
