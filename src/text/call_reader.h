// Automata that read tool calls out of a reply, one for each ToolFormat. They are fed with text and with markers
// and say what they found; where text ends and a marker begins was decided before (tool_reply.h).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tool.h"

namespace minke::text {

/// A piece of a reply. A call is `call` with its name, `arguments` any number of times, `call_end`.
struct ReplyPart {
  enum class Kind { thinking, content, call, arguments, call_end };
  Kind kind = Kind::content;
  std::string text = {};
  bool complete = true;  ///< call_end: false where the reply ended, or the marker came, inside the arguments
  bool operator==(const ReplyPart&) const = default;
};

/// Appends parts; neighbouring ones of one kind are joined.
class PartSink {
 public:
  explicit PartSink(std::vector<ReplyPart>& parts) : parts_(&parts) {}
  void content(std::string_view text) { add(ReplyPart::Kind::content, text); }
  void arguments(std::string_view text) { add(ReplyPart::Kind::arguments, text); }
  void thinking(std::string_view text) { add(ReplyPart::Kind::thinking, text); }
  void call(std::string_view name) { parts_->push_back({ReplyPart::Kind::call, std::string(name)}); }
  void call_end(bool complete) { parts_->push_back({ReplyPart::Kind::call_end, {}, complete}); }
  void add(ReplyPart&& part);

 private:
  void add(ReplyPart::Kind kind, std::string_view text);
  std::vector<ReplyPart>* parts_;
};

enum class Marker {
  calls_begin,
  calls_end,
  call_begin,
  call_end,
  separator,
  key_begin,
  key_end,
  value_begin,
  value_end,
};

struct MarkerSpelling {
  std::string spelling;
  Marker marker;
};

class CallReader {
 public:
  virtual ~CallReader() = default;
  virtual void text(std::string_view text, PartSink& out) = 0;
  virtual void marker(Marker marker, std::string_view spelling, PartSink& out) = 0;
  /// The end of the reply. `cut`: it was ended from outside, not by the model.
  virtual void finish(bool cut, PartSink& out) = 0;
  /// Not inside a call nor in what may become one.
  virtual bool idle() const = 0;
  /// Inside a JSON string, where a marker that is but text does not count.
  virtual bool in_string() const { return false; }
};

/// `tools`: what was offered; must outlive the reader.
std::unique_ptr<CallReader> make_call_reader(ToolFormat format, std::span<const Tool> tools);
/// All spellings of a format's markers. Families whose vocabulary has them as tokens use the first of each kind.
std::vector<MarkerSpelling> marker_spellings(ToolFormat format);

std::unique_ptr<CallReader> make_json_call_reader(ToolFormat format, std::span<const Tool> tools);
std::unique_ptr<CallReader> make_deepseek_call_reader(std::span<const Tool> tools);
std::unique_ptr<CallReader> make_glm_call_reader(std::span<const Tool> tools);

/// Content outside calls, with the white space at its end held back: a call that follows takes it along.
class ContentHold {
 public:
  void text(std::string_view text, PartSink& out);
  /// A call begins: white space before it is nobody's.
  void drop() { space_.clear(); }
  void finish(PartSink& out);
  /// The last character was a backtick: a marker after it is quoted.
  bool quoting() const noexcept { return quoting_; }

 private:
  std::string space_;
  bool quoting_ = false;
};

/// Follows one JSON value through text cut anywhere: where it ends, and whether a string is open. It checks
/// brackets and strings, not the grammar.
class JsonExtent {
 public:
  /// How much of `text` belongs to the value.
  std::size_t feed(std::string_view text);
  bool started() const noexcept { return started_; }
  /// Only objects, arrays and strings end by themselves.
  bool ended() const noexcept { return ended_; }
  bool in_string() const noexcept { return in_string_; }

 private:
  std::size_t depth_ = 0;
  bool started_ = false, ended_ = false, in_string_ = false, escaped_ = false;
};

bool is_tool(std::span<const Tool> tools, std::string_view name);
std::string_view trimmed(std::string_view text);

}  // namespace minke::text
