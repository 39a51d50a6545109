#include "api/reply_text.h"

#include <utility>

#include "api/random_id.h"
#include "text/python_json.h"

namespace minke::api {
namespace {

std::string_view marker(const Model& model, const Prompt& prompt,
                        std::string_view (text::ChatEncoding::*which)() const) {
  return prompt.chat && !prompt.continues && model.encoding ? (*model.encoding.*which)() : std::string_view();
}

}  // namespace

ReplyText::ReplyText(const Model& model, const Prompt& prompt, bool with_tokens)
    : tokenizer_(model.tokenizer.get()),
      think_begin_(marker(model, prompt, &text::ChatEncoding::think_begin)),
      think_end_(marker(model, prompt, &text::ChatEncoding::think_end)),
      decoder_(*model.tokenizer),
      parser_(think_begin_, think_end_, prompt.starts_in_thinking),
      with_tokens_(with_tokens),
      setup_(prompt.tools) {
  if (!setup_ || !model.encoding) return;
  said_.role = text::Role::assistant;
  tools_.emplace(*model.encoding, setup_->tools, prompt.starts_in_thinking,
                 [this](std::string_view spelling) { return tokenizer_->find(spelling).has_value(); });
  for (const text::PromptPiece& piece : setup_->begun) {
    const auto token = piece.control ? tokenizer_->find(piece.text) : std::nullopt;
    if (token) {
      tools_->push_control(piece.text, begun_);
    } else {
      tools_->push(piece.text, begun_);
    }
  }
}

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
  const bool thought = in_thinking();
  bool call = tools_ && tools_->in_call();
  if (tools_) {
    push_with_tools(*tools_, drawn.token, out);
    call = call || tools_->in_call() || tokenizer_->is_control(drawn.token);
  } else {
    take(parser_.push(decode(drawn.token)), out);
  }
  const bool thinking = thought || in_thinking();
  if (thinking) ++reasoning_tokens_;
  if (with_tokens_ && !is_marker(drawn.token) && !call) {
    (thinking ? out.reasoning_tokens : out.content_tokens).push_back(drawn);
  }
  return out;
}

void ReplyText::push_with_tools(text::ToolReplyParser& tools, engine::TokenId token, TextDelta& out) {
  std::vector<text::ReplyPart> parts = std::exchange(begun_, {});
  if (setup_->store) drawn_.push_back(token);
  if (tokenizer_->is_control(token)) {
    tools.push(decoder_.finish(), parts);  // a character that this token cut off
    tools.push_control(tokenizer_->piece(token), parts);
  } else {
    tools.push(decoder_.push(token), parts);
  }
  take_parts(std::move(parts), out);
}

void ReplyText::take_parts(std::vector<text::ReplyPart>&& parts, TextDelta& out) {
  for (text::ReplyPart& part : parts) {
    if (stopped()) return;
    if (part.kind == text::ReplyPart::Kind::thinking) {
      take({.thinking = std::move(part.text), .content = {}}, out);
    } else if (part.kind == text::ReplyPart::Kind::content) {
      take({.thinking = {}, .content = std::move(part.text)}, out);
    } else {
      take_call(std::move(part), out);
    }
  }
}

void ReplyText::take_call(text::ReplyPart&& part, TextDelta& out) {
  using Kind = text::ReplyPart::Kind;
  if (!setup_->report) {
    std::string json = std::move(part.text);
    if (part.kind == Kind::call) {
      std::string begin = "{\"name\": \"";
      text::append_json_escaped(begin, json);
      json = begin + "\", \"arguments\": ";
    }
    if (part.kind == Kind::call_end) json.assign(1, '}');
    take({.thinking = {}, .content = std::move(json)}, out);
    return;
  }
  if (part.kind == Kind::call) {
    if (!setup_->parallel && !said_.tool_calls.empty()) {
      enough_ = true;
      return;
    }
    said_.tool_calls.push_back({random_id(setup_->id_prefix), part.text, {}});
    const text::ToolCall& call = said_.tool_calls.back();
    out.calls.push_back({.index = said_.tool_calls.size() - 1, .id = call.id, .name = call.name, .arguments = {}});
    return;
  }
  if (said_.tool_calls.empty()) return;
  const bool ends = part.kind == Kind::call_end;
  if (ends) incomplete_ = incomplete_ || !part.complete;
  said_.tool_calls.back().arguments += part.text;
  out.calls.push_back(
      {.index = said_.tool_calls.size() - 1, .id = {}, .name = {}, .arguments = std::move(part.text), .ended = ends});
}

/// Kept as it was sent, so that it is known again when it comes back with the results.
void ReplyText::keep_calls() {
  if (!setup_->store || said_.tool_calls.empty() || incomplete_) return;
  if (!setup_->begun.empty() && setup_->begun_tokens.empty()) return;
  auto sampled = std::make_shared<text::SampledTurn>();
  sampled->opening = setup_->opening;
  sampled->tokens = setup_->begun_tokens;
  sampled->tokens.insert(sampled->tokens.end(), drawn_.begin(), drawn_.end());
  sampled->thought = said_.reasoning.has_value();
  said_.sampled = std::move(sampled);
  setup_->store->keep(setup_->owner, setup_->drawn_by, std::move(said_));
}

TextDelta ReplyText::finish(std::string_view tail, bool cut) {
  TextDelta out;
  if (stopped()) return out;
  std::string rest = decoder_.push(tail);
  rest += decoder_.finish();
  if (tools_) {
    std::vector<text::ReplyPart> parts = std::exchange(begun_, {});
    tools_->push(rest, parts);
    tools_->finish(cut, parts);
    take_parts(std::move(parts), out);
    if (!cut) keep_calls();
  } else {
    take(parser_.push(rest), out);
    take(parser_.finish(), out);
  }
  return out;
}

void ReplyText::take(text::ReplyDelta&& parsed, TextDelta& out) {
  out.reasoning += parsed.thinking;
  if (tools_ && !parsed.thinking.empty()) said_.reasoning = said_.reasoning.value_or("") + parsed.thinking;
  out.content += parsed.content;
  if (tools_) said_.content += parsed.content;
}

}  // namespace minke::api
