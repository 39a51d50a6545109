#include "text/reply_parser.h"

#include <algorithm>
#include <utility>

namespace minke::text {
namespace {

// Models put at most a newline or two before "<think>"; more is an answer that begins with space.
constexpr std::size_t kMaxLeadingSpace = 16;

// The length of the longest end of `text` that a following text could complete to `marker`.
std::size_t partial_marker(std::string_view text, std::string_view marker) {
  for (std::size_t size = std::min(text.size(), marker.size() - 1); size > 0; --size) {
    if (text.ends_with(marker.substr(0, size))) return size;
  }
  return 0;
}

void drop_newlines(std::string& text) { text.erase(0, std::min(text.find_first_not_of('\n'), text.size())); }

}  // namespace

ReplyParser::ReplyParser(std::string_view think_begin, std::string_view think_end, bool starts_in_thinking)
    : think_begin_(think_begin), think_end_(think_end), state_(State::content), may_reopen_(starts_in_thinking) {
  if (think_begin_.empty() || think_end_.empty()) return;
  state_ = starts_in_thinking ? State::opening : State::before;
}

ReplyDelta ReplyParser::push(std::string_view text) {
  ReplyDelta out;
  std::string rest = std::exchange(held_, {});
  rest.append(text);
  while (step(rest, out)) {
  }
  held_ = std::move(rest);
  return out;
}

ReplyDelta ReplyParser::finish() {
  ReplyDelta out;
  const std::string rest = std::exchange(held_, {});
  if (in_thinking()) {
    emit_thinking(rest, out);
    out.thinking.append(std::exchange(pending_newlines_, 0), '\n');
  } else {
    out.content.append(rest);
  }
  return out;
}

ReplyDelta ReplyParser::interrupt() {
  ReplyDelta out = finish();
  state_ = State::content;
  return out;
}

bool ReplyParser::step(std::string& text, ReplyDelta& out) {
  switch (state_) {
    case State::before:
      return step_before(text, out);
    case State::opening:
      return step_opening(text);
    case State::thinking:
      return step_thinking(text, out);
    case State::closing:
      drop_newlines(text);
      if (text.empty()) return false;
      state_ = State::content;
      return true;
    case State::content:
      out.content.append(text);
      text.clear();
      return false;
  }
  return false;
}

bool ReplyParser::step_before(std::string& text, ReplyDelta& out) {
  const std::size_t space = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const std::string_view word = std::string_view(text).substr(space);
  if (space <= kMaxLeadingSpace) {
    if (word.starts_with(think_begin_)) {
      text.erase(0, space + think_begin_.size());
      state_ = State::opening;
      return true;
    }
    if (std::string_view(think_begin_).starts_with(word)) return false;
  }
  out.content.append(text);
  text.clear();
  state_ = State::content;
  return true;
}

bool ReplyParser::step_opening(std::string& text) {
  drop_newlines(text);
  if (text.empty()) return false;
  if (may_reopen_) {
    if (text.starts_with(think_begin_)) {
      text.erase(0, think_begin_.size());
      may_reopen_ = false;
      return true;
    }
    if (think_begin_.starts_with(text)) return false;
  }
  state_ = State::thinking;
  return true;
}

bool ReplyParser::step_thinking(std::string& text, ReplyDelta& out) {
  const std::size_t end = text.find(think_end_);
  if (end != std::string::npos) {
    emit_thinking(std::string_view(text).substr(0, end), out);
    pending_newlines_ = 0;
    text.erase(0, end + think_end_.size());
    state_ = State::closing;
    return true;
  }
  const std::size_t kept = partial_marker(text, think_end_);
  emit_thinking(std::string_view(text).substr(0, text.size() - kept), out);
  text.erase(0, text.size() - kept);
  return false;
}

void ReplyParser::emit_thinking(std::string_view text, ReplyDelta& out) {
  const std::size_t size = text.find_last_not_of('\n') + 1;  // 0 when there are only newlines
  if (size > 0) {
    out.thinking.append(std::exchange(pending_newlines_, 0), '\n');
    out.thinking.append(text.substr(0, size));
  }
  pending_newlines_ += text.size() - size;
}

}  // namespace minke::text
