// Splits a reply into thinking and content while it streams.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace minke::text {

struct ReplyDelta {
  std::string thinking;
  std::string content;
};

/// Fed with text as it arrives, cut anywhere: the same text gives the same total however it is cut.
/// Text that might still become a marker is held back until it is decided. One pass; memory bounded by
/// the marker's length.
///  - A thinking block is recognised at the start of the reply only (whitespace may precede it); markers
///    later in the content are content.
///  - Newlines after the opening marker, before the closing one and after it are dropped, as the official
///    parsers do.
///  - A prompt that opened the block is believed; if the model opens it once more, that is dropped.
///  - Thinking that is never closed stays thinking.
class ReplyParser {
 public:
  /// `starts_in_thinking`: from RenderedPrompt. Empty markers: everything is content.
  ReplyParser(std::string_view think_begin, std::string_view think_end, bool starts_in_thinking);

  ReplyDelta push(std::string_view text);
  /// The end of the reply: what was held back.
  ReplyDelta finish();

  /// Something came that ends thinking or what may become it: what was held back. All that follows is content.
  ReplyDelta interrupt();

  bool in_thinking() const noexcept { return state_ == State::opening || state_ == State::thinking; }

 private:
  enum class State {
    before,    // nothing decided: whitespace, perhaps the opening marker
    opening,   // in the block, before its first character
    thinking,  // in the block
    closing,   // after the closing marker, before the content's first character
    content,
  };

  // Each takes what it can from the front of `text` and returns whether the state changed (else: more is needed).
  bool step(std::string& text, ReplyDelta& out);
  bool step_before(std::string& text, ReplyDelta& out);
  bool step_opening(std::string& text);
  bool step_thinking(std::string& text, ReplyDelta& out);
  void emit_thinking(std::string_view text, ReplyDelta& out);

  std::string think_begin_, think_end_;
  State state_;
  bool may_reopen_;                   // the opening marker may still come once, inside the block
  std::string held_;                  // shorter than a marker plus kMaxLeadingSpace
  std::size_t pending_newlines_ = 0;  // thinking's newlines that "</think>" would swallow
};

}  // namespace minke::text
