#include "engine/reply.h"

#include <algorithm>
#include <utility>

namespace minke::engine {

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::context:
      return "context";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      return "error";
  }
  return "unknown";
}

// Not initialised: pages that a reply does not reach are never taken from the system.
ReplyRecord::ReplyRecord(Request given, std::size_t most, ControlPlan plan)
    : request(std::move(given)),
      most_tokens(most),
      control(std::move(plan)),
      outputs(std::make_unique<Output[]>(request.samples)) {
  for (std::size_t i = 0; i < request.samples; ++i) {
    Output& output = outputs[i];
    output.tokens.reset(new TokenId[most]);
    if (!request.logprobs) continue;
    output.logprobs.reset(new float[most]);
    if (*request.logprobs > 0) output.top = std::make_unique_for_overwrite<TokenLogprob[]>(most * *request.logprobs);
  }
  if (request.prompt_logprobs) prompt_logprobs.reset(new float[request.tokens.size()]);
}

Reply::Reply(std::shared_ptr<ReplyRecord> record, std::function<void()> wake)
    : record_(std::move(record)), wake_(std::move(wake)), cursors_(record_->request.samples) {}

Reply::~Reply() {
  if (record_ && !finished()) cancel();
}

Reply& Reply::operator=(Reply&& other) noexcept {
  if (this != &other) {
    Reply old(std::move(*this));
    record_ = std::move(other.record_);
    wake_ = std::move(other.wake_);
    position_ = other.position_;
    prefilled_ = other.prefilled_;
    wait_ = other.wait_;
    prompt_read_ = other.prompt_read_;
    next_sample_ = other.next_sample_;
    ended_ = other.ended_;
    cursors_ = std::move(other.cursors_);
  }
  return *this;
}

bool Reply::finished() const noexcept { return ended_ == cursors_.size(); }

void Reply::cancel() noexcept {
  if (!record_) return;
  record_->cancelled.store(true, std::memory_order_release);
  if (wake_) wake_();
}

std::optional<Event> Reply::poll() {
  if (!record_ || finished()) return std::nullopt;
  const ReplyRecord& r = *record_;
  const std::size_t position = r.queue_position.load(std::memory_order_acquire);
  const double wait = r.estimated_wait.load(std::memory_order_relaxed);
  if (position != 0 && (position != position_ || wait != wait_)) {
    position_ = position;
    wait_ = wait;
    return Queued{.position = position, .estimated_wait = wait};
  }
  const std::size_t done = r.prefill_done.load(std::memory_order_acquire);
  if (done != prefilled_) {
    prefilled_ = done;
    return PrefillProgress{.done = done, .total = r.request.tokens.size(), .cached = r.cached.load()};
  }
  if (auto event = poll_prompt()) return event;
  // In turn, so that one sample's tokens do not hide the others'.
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    const std::size_t sample = next_sample_;
    next_sample_ = (next_sample_ + 1) % cursors_.size();
    if (auto event = poll_sample(sample)) return event;
  }
  return std::nullopt;
}

std::optional<Event> Reply::poll_prompt() {
  const ReplyRecord& r = *record_;
  if (prompt_read_ || !r.prompt_done.load(std::memory_order_acquire)) return std::nullopt;
  prompt_read_ = true;
  if (r.prompt_logprobs)
    return PromptLogprobs{{r.prompt_logprobs.get(), r.prompt_logprobs.get() + r.request.tokens.size() - 1}};
  if (!r.hidden.empty()) return PooledHidden{r.hidden};
  return std::nullopt;
}

std::optional<Event> Reply::poll_sample(std::size_t sample) {
  const ReplyRecord& r = *record_;
  const ReplyRecord::Output& output = r.outputs[sample];
  Cursor& cursor = cursors_[sample];
  if (cursor.ended) return std::nullopt;
  // Before the count: what is finished has counted everything.
  const bool finished = output.finished.load(std::memory_order_acquire);
  if (cursor.read < output.count.load(std::memory_order_acquire)) {
    const std::size_t i = cursor.read++;
    TokenDrawn drawn{.sample = sample, .token = output.tokens[i], .logprob = {}, .top = {}};
    if (r.request.logprobs) {
      drawn.logprob = output.logprobs[i];
      const std::size_t top = *r.request.logprobs;
      if (top > 0) drawn.top.assign(output.top.get() + i * top, output.top.get() + (i + 1) * top);
    }
    return drawn;
  }
  if (!finished) return std::nullopt;
  // The prompt's part may have become complete since it was looked for; after the last end nobody looks again.
  if (auto event = poll_prompt()) return event;
  cursor.ended = true;
  ++ended_;
  return output.end;
}

std::optional<Event> Reply::wait(std::chrono::nanoseconds most) {
  if (!record_) return std::nullopt;
  const auto deadline = std::chrono::steady_clock::now() + most;
  for (;;) {
    const std::uint32_t seen = record_->signal.value();
    if (auto event = poll()) return event;
    if (finished()) return std::nullopt;
    if (!record_->signal.wait(seen, deadline - std::chrono::steady_clock::now())) return poll();
  }
}

}  // namespace minke::engine
