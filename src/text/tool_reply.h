// Splits a reply into thinking, content and tool calls while it streams. docs/tools.md says what becomes of calls
// that are written badly.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/call_reader.h"
#include "text/chat.h"
#include "text/reply_parser.h"

namespace minke::text {

/// Fed with text as it arrives, cut anywhere, and with control tokens one at a time: however the text is cut, the
/// parts joined are the same. Each character is looked at a bounded number of times; memory is bounded by the reply.
///  - A marker that is a token of the vocabulary counts only as that token. Where the vocabulary lacks it, its
///    spelling counts, except in thinking and in a JSON string.
///  - Thinking is split off as ReplyParser does it. A call inside thinking ends it.
///  - Markers never come out, except where a reply quotes them in prose.
class ToolReplyParser {
 public:
  using Parts = std::vector<ReplyPart>;

  /// `tools`: what was offered. `is_token`: whether the vocabulary has a token of this spelling; asked here only.
  ToolReplyParser(const ChatEncoding& encoding, std::shared_ptr<const std::vector<Tool>> tools, bool starts_in_thinking,
                  const std::function<bool(std::string_view)>& is_token);

  void push(std::string_view text, Parts& out);
  /// A control token that was drawn; those without a meaning here stand for nothing.
  void push_control(std::string_view spelling, Parts& out);
  /// The end of the reply. `cut`: by a limit or a stop sequence, not by the model.
  void finish(bool cut, Parts& out);

  bool in_thinking() const noexcept { return thoughts_.in_thinking(); }
  /// In a call, or in what may become one.
  bool in_call() const { return probe_ != nullptr || !pending_.empty() || (reader_ && !reader_->idle()); }

 private:
  void take(ReplyDelta&& delta, PartSink& out);
  void content(std::string_view text, PartSink& out);
  void scan(bool last, PartSink& out);
  void probe(const std::function<void(PartSink&)>& feed, std::string_view said, PartSink& out);
  void drop_probe(PartSink& out);
  const MarkerSpelling* spelled_at(std::string_view text, bool& partial) const;
  std::unique_ptr<CallReader> new_reader() const { return make_call_reader(format_, *tools_); }

  ToolFormat format_;
  std::shared_ptr<const std::vector<Tool>> tools_;
  std::string think_begin_, think_end_;
  ReplyParser thoughts_;
  std::vector<MarkerSpelling> tokens_, words_;  // markers that are control tokens; that are text
  std::unique_ptr<CallReader> reader_;
  std::unique_ptr<CallReader> probe_;  // reads what began inside thinking and may be a call
  std::string probed_;                 // its text, should it be none
  std::string pending_;                // may become a marker's spelling
  bool interrupted_ = false;           // a call ended thinking: its closing marker may still come
  char last_thought_ = '\0';
};

}  // namespace minke::text
