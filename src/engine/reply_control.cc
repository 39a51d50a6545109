#include "engine/reply_control.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace minke::engine {

ControlPlan::ControlPlan(const Request& request, std::shared_ptr<const TokenBytes> table, std::size_t vocab_size)
    : stops(request.stop_strings), bytes(std::move(table)) {
  if (!stops.empty() && !bytes)
    throw base::Error(base::ErrorCode::invalid_argument,
                      "stop_strings: expected an engine that knows its tokens' bytes, got one without");
  request.thinking.validate(vocab_size);
}

const std::shared_ptr<MaskState> ReplyControl::kUnconstrained;

ReplyControl::ReplyControl(const Request& request, const ControlPlan& plan, std::size_t most_tokens, std::size_t vocab)
    : request_(&request), plan_(&plan), thinking_(request.thinking, most_tokens), stops_(plan.stops.start()) {
  if (request.constraint) constraint_.state = std::make_shared<MaskState>(request.constraint, vocab);
}

void ReplyControl::took(std::span<const TokenId> row, std::size_t prompt) {
  const bool was_thinking = thinking_.thinking();
  const bool was_drawn = thinking_.forced().empty();
  thinking_.took(row, plan_->bytes ? plan_->bytes->of(row.back()) : std::string_view());
  // Neither what was written by force nor the marker that opens thinking is part of what is constrained.
  if (constraint_.state && !was_thinking && was_drawn && !thinking_.thinking()) constraint_.state->accept(row.back());
  const std::span<const TokenId> reply = row.subspan(prompt);
  reportable_ = reply.size();
  if (was_thinking) {
    leading_ = !thinking_.thinking();
    if (leading_) std::fill(stops_.matched.begin(), stops_.matched.end(), 0);
  } else if (!thinking_.thinking() && !plan_->stops.empty()) {
    look_for_stops(reply);
  }
}

void ReplyControl::look_for_stops(std::span<const TokenId> reply) {
  // Control tokens are no text: a stop string is not found in their spelling, but around them.
  const auto text_of = [&bytes = *plan_->bytes](TokenId token) {
    return bytes.is_control(token) ? std::string_view() : bytes.of(token);
  };
  std::string_view piece = text_of(reply.back());
  if (leading_) {
    // Newlines after the closing marker are no part of the answer.
    piece.remove_prefix(std::min(piece.find_first_not_of('\n'), piece.size()));
    leading_ = piece.empty();
  }
  std::size_t back = 0;  // bytes at the end of the reply that are held back, or from the stop string's first on
  std::optional<StopStrings::Found> found;
  while ((found = plan_->stops.feed(stops_, piece))) {
    piece.remove_prefix(found->used);
    if (reply.size() < request_->min_tokens) continue;  // too early to count
    back = found->size + piece.size();
    break;
  }
  if (!found) back = StopStrings::open(stops_);
  // The token in which these bytes begin, and what it has before them.
  std::size_t token = reply.size();
  std::size_t covered = 0;
  while (covered < back && token > 0) covered += text_of(reply[--token]).size();
  if (found) stop_ = Stop{found->index, std::string(text_of(reply[token]).substr(0, covered - back))};
  reportable_ = token;
}

}  // namespace minke::engine
