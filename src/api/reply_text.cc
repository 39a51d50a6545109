#include "api/reply_text.h"

#include <algorithm>
#include <utility>

namespace minke::api {
namespace {

std::string_view marker(const Model& model, const Prompt& prompt,
                        std::string_view (text::ChatEncoding::*which)() const) {
  return prompt.chat && !prompt.continues && model.encoding ? (*model.encoding.*which)() : std::string_view();
}

}  // namespace

ReplyText::ReplyText(const Model& model, const Prompt& prompt, std::span<const std::string> stops, bool with_tokens)
    : tokenizer_(model.tokenizer.get()),
      think_begin_(marker(model, prompt, &text::ChatEncoding::think_begin)),
      think_end_(marker(model, prompt, &text::ChatEncoding::think_end)),
      decoder_(*model.tokenizer),
      parser_(think_begin_, think_end_, prompt.starts_in_thinking),
      stops_(stops),
      with_tokens_(with_tokens) {}

bool ReplyText::is_marker(engine::TokenId token) const {
  const std::string_view piece = tokenizer_->piece(token);
  return !piece.empty() && (piece == think_begin_ || piece == think_end_);
}

/// Control tokens (a role's marker that the model wrote out of turn, an end that was to be ignored) stand for no text.
std::string ReplyText::decode(engine::TokenId token) {
  if (tokenizer_->is_control(token) && !is_marker(token)) return {};
  return decoder_.push(token);
}

TextDelta ReplyText::push(const engine::TokenDrawn& drawn) {
  TextDelta out;
  if (stopped()) return out;
  ++tokens_;
  const bool thought = parser_.in_thinking();
  const std::size_t from = given_;
  take(parser_.push(decode(drawn.token)), out);
  const bool thinking = thought || parser_.in_thinking();
  if (thinking) ++reasoning_tokens_;
  if (with_tokens_ && !is_marker(drawn.token)) {
    if (thinking) {
      out.reasoning_tokens.push_back(drawn);
    } else {
      waiting_.push_back({drawn, from});
    }
  }
  release(out);
  return out;
}

TextDelta ReplyText::finish() {
  TextDelta out;
  if (stopped()) return out;
  take(parser_.push(decoder_.finish()), out);
  take(parser_.finish(), out);
  const std::string rest = stops_.finish();
  emitted_ += rest.size();
  out.content += rest;
  release(out);
  return out;
}

void ReplyText::take(text::ReplyDelta&& parsed, TextDelta& out) {
  out.reasoning += parsed.thinking;
  given_ += parsed.content.size();
  const std::string content = stops_.push(parsed.content);
  emitted_ += content.size();
  out.content += content;
}

/// Tokens whose text has come out, at least its beginning. What a stop sequence swallowed whole is dropped.
void ReplyText::release(TextDelta& out) {
  const bool all = given_ == emitted_;
  std::size_t count = 0;
  while (count < waiting_.size() && (all || waiting_[count].from < emitted_)) ++count;
  for (std::size_t i = 0; i < count; ++i) out.content_tokens.push_back(std::move(waiting_[i].drawn));
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace minke::api
