#include "api/generation.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"

namespace minke::api {

using engine::FinishReason;

Generation::Generation(const Model& model, std::vector<Prompt> prompts, const engine::Request& request,
                       const std::function<void()>& notify)
    : samples_(request.samples), stops_(request.stop_strings) {
  for (Prompt& prompt : prompts) {
    Running running;
    for (std::size_t i = 0; i < samples_; ++i) {
      running.samples.push_back({ReplyText(model, prompt, request.logprobs.has_value()), false});
    }
    spent_.prompt_tokens += prompt.tokens.size();
    engine::Request one = request;
    one.tokens = std::move(prompt.tokens);
    one.thinking = std::move(prompt.thinking);
    if (one.thinking.end >= 0) one.thinking.max_tokens = request.thinking.max_tokens;
    one.stop_tokens.insert(one.stop_tokens.end(), prompt.stop_tokens.begin(), prompt.stop_tokens.end());
    try {
      running.reply = model.generator->submit(std::move(one), notify);
    } catch (const base::Error& error) {
      throw ApiError::from(error);
    }
    replies_.push_back(std::move(running));
  }
}

std::optional<Generation::Piece> Generation::next() {
  // In turn, so that one prompt's tokens do not hide the others'.
  for (std::size_t tried = 0; tried < replies_.size();) {
    const std::size_t index = next_reply_;
    std::optional<engine::Event> event = replies_[index].reply.poll();
    if (!event) {
      next_reply_ = (next_reply_ + 1) % replies_.size();
      ++tried;
      continue;
    }
    if (std::optional<Piece> piece = take(index, std::move(*event))) {
      next_reply_ = (next_reply_ + 1) % replies_.size();
      return piece;
    }
  }
  return std::nullopt;
}

std::optional<Generation::Piece> Generation::take(std::size_t index, engine::Event&& event) {
  if (const auto* queued = std::get_if<engine::Queued>(&event)) {
    queued_ = *queued;
  } else if (const auto* progress = std::get_if<engine::PrefillProgress>(&event)) {
    queued_.reset();
    prefill_ = *progress;
    set_cached(replies_[index], progress->cached);
  } else if (const auto* drawn = std::get_if<engine::TokenDrawn>(&event)) {
    Piece piece = take_token(index, *drawn);
    if (!piece.delta.empty()) return piece;
  } else if (const auto* finished = std::get_if<engine::Finished>(&event)) {
    return take_end(index, *finished);
  }
  return std::nullopt;
}

Generation::Piece Generation::take_token(std::size_t index, const engine::TokenDrawn& drawn) {
  queued_.reset();
  prefill_.reset();
  if (!spent_.first_token) {
    spent_.first_token = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  }
  Running& running = replies_[index];
  Sample& sample = running.samples[drawn.sample];
  Piece piece{.choice = index * samples_ + drawn.sample, .delta = {}, .end = {}, .stop = {}};
  if (sample.text.stopped()) return piece;
  const std::size_t reasoning = sample.text.reasoning_tokens();
  piece.delta = sample.text.push(drawn);
  ++spent_.output_tokens;
  spent_.reasoning_tokens += sample.text.reasoning_tokens() - reasoning;
  // A call more than may be. The engine can only be told to end all samples of a prompt together.
  if (sample.text.stopped() && std::all_of(running.samples.begin(), running.samples.end(),
                                           [](const Sample& one) { return one.ended || one.text.stopped(); })) {
    running.reply.cancel();
  }
  return piece;
}

void Generation::set_cached(Running& running, std::size_t tokens) noexcept {
  spent_.cached_tokens += tokens - running.cached;
  running.cached = tokens;
}

Generation::Piece Generation::take_end(std::size_t index, const engine::Finished& finished) {
  Running& running = replies_[index];
  Sample& sample = running.samples[finished.sample];
  const bool stopped = sample.text.stopped();
  if (!stopped && finished.reason == FinishReason::error) {
    throw finished.error ? ApiError::from(*finished.error) : ApiError(Fault::internal, "the reply failed");
  }
  if (!stopped && finished.reason == FinishReason::cancelled) {
    throw ApiError(Fault::not_ready, "the server ended this reply, because it is stopping");
  }
  sample.ended = true;
  ++ended_;
  const bool cut = finished.reason != FinishReason::stop || finished.stop_string;
  Piece piece{.choice = index * samples_ + finished.sample,
              .delta = sample.text.finish(finished.tail, cut),
              .end = stopped ? FinishReason::stop : finished.reason,
              .stop = {}};
  if (!stopped && finished.stop_string) piece.stop = stops_.at(*finished.stop_string);
  set_cached(running, finished.usage.cached_tokens);
  // The stop token and a stop string's, which are not told.
  if (!stopped) spent_.output_tokens += finished.usage.output_tokens - sample.text.tokens();
  spent_.queue_seconds = std::max(spent_.queue_seconds, finished.timings.queue_seconds);
  spent_.prefill_seconds = std::max(spent_.prefill_seconds, finished.timings.prefill_seconds);
  spent_.decode_seconds = std::max(spent_.decode_seconds, finished.timings.decode_seconds);
  return piece;
}

std::string Generation::waiting_for() const {
  if (queued_) {
    std::string text = base::cat("queue position ", queued_->position);
    if (queued_->estimated_wait > 0 && std::isfinite(queued_->estimated_wait)) {
      text += base::cat(", about ", static_cast<std::int64_t>(std::min(std::ceil(queued_->estimated_wait), 1e9)), " s");
    }
    return text;
  }
  if (prefill_ && prefill_->done < prefill_->total) {
    return base::cat("prompt ", prefill_->done, " of ", prefill_->total, " tokens");
  }
  return {};
}

}  // namespace minke::api
