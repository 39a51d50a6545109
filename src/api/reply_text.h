// One sample's tokens into thinking and content, with log-probabilities beside the text they belong to.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/model.h"
#include "engine/events.h"
#include "text/reply_parser.h"
#include "text/tokenizer.h"
#include "text/tool_reply.h"

namespace minke::api {

/// A piece of a call: its id and name, or some of its arguments, or its end.
struct CallDelta {
  std::size_t index = 0;  ///< of the reply's calls
  std::string id, name;   ///< of a call that begins
  std::string arguments;
  bool ended = false;
  bool begins() const noexcept { return !id.empty(); }
};

/// What became certain with a token.
struct TextDelta {
  std::string reasoning, content;
  std::vector<CallDelta> calls;
  std::vector<engine::TokenDrawn> reasoning_tokens, content_tokens;  ///< with log-probabilities; if they were asked for
  bool empty() const noexcept {
    return reasoning.empty() && content.empty() && calls.empty() && reasoning_tokens.empty() && content_tokens.empty();
  }
};

class ReplyText {
 public:
  /// `with_tokens`: TextDelta's tokens are wanted.
  ReplyText(const Model& model, const Prompt& prompt, bool with_tokens);

  TextDelta push(const engine::TokenDrawn& drawn);
  /// The end of the reply: what was held back. `tail`: bytes after the last token's, as engine::Finished has them.
  /// `cut`: a limit or a stop string ended it, not the model.
  TextDelta finish(std::string_view tail = {}, bool cut = false);

  /// A call more than may be: nothing more comes.
  bool stopped() const noexcept { return enough_; }
  std::size_t tokens() const noexcept { return tokens_; }
  std::size_t reasoning_tokens() const noexcept { return reasoning_tokens_; }

 private:
  std::string decode(engine::TokenId token);
  void push_with_tools(text::ToolReplyParser& tools, engine::TokenId token, TextDelta& out);
  void take_parts(std::vector<text::ReplyPart>&& parts, TextDelta& out);
  void take_call(text::ReplyPart&& part, TextDelta& out);
  void keep_calls();
  bool in_thinking() const { return tools_ ? tools_->in_thinking() : parser_.in_thinking(); }
  void take(text::ReplyDelta&& parsed, TextDelta& out);
  bool is_marker(engine::TokenId token) const;

  const text::Tokenizer* tokenizer_;
  std::string_view think_begin_, think_end_;
  text::StreamDecoder decoder_;
  text::ReplyParser parser_;
  bool with_tokens_;
  std::size_t tokens_ = 0, reasoning_tokens_ = 0;

  std::shared_ptr<const ToolSetup> setup_;  // null: calls are not looked for
  std::optional<text::ToolReplyParser> tools_;
  std::vector<text::ReplyPart> begun_;  // of a call that the prompt began
  text::Message said_;                  // what has come out so far, for the store
  std::vector<engine::TokenId> drawn_;
  bool enough_ = false, incomplete_ = false;
};

}  // namespace minke::api
