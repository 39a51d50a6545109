// Core: what a step's rows give: tokens, log-probabilities, hidden states, ends.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/core.h"
#include "engine/token_mask.h"

namespace minke::engine {
namespace {

double seconds_between(Core::Clock::time_point from, Core::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

void Core::take_outputs(const Slice& slice) {
  if (slice.draft != nullptr) return take_drafts(slice);
  Sequence& sequence = *slice.sequence;
  const std::size_t first = sequence.computed;
  const bool drew = sequence.decoding();
  sequence.computed += slice.rows;
  publish(sequence);
  ReplyRecord& record = *sequence.record;
  if (drew) queue_.charge(sequence.account, 1);
  if (sequence.computed <= sequence.prompt() && sequence.computed > record.prefill_done.load(std::memory_order_relaxed))
    record.prefill_done.store(sequence.computed, std::memory_order_release);
  touch(sequence);
  try {
    // Once told they are the reader's: a reply that was put off computes its prompt again, not these.
    const bool told = record.prompt_done.load(std::memory_order_relaxed);
    if (sequence.request().prompt_logprobs && first < sequence.prompt() && !told) score_prompt(sequence, slice, first);
    if (sequence.request().pooling != Pooling::none) return pool_hidden(sequence, slice);
    if (sequence.pending() > 0) return;
    const std::span<float> logits = logits_row(slice.first_logits + slice.logits - 1);
    if (sequence.unforked > 0) fork(sequence, logits);
    draw_or_hold(sequence, logits);
  } catch (const base::Error& error) {
    finish(sequence, FinishReason::error, &error);
  }
}

/// Rows [first_position, ...) of the prompt: each tells how likely the next prompt token was.
void Core::score_prompt(Sequence& sequence, const Slice& slice, std::size_t first_position) {
  for (std::size_t i = 0; i < slice.rows; ++i) {
    const std::size_t next = first_position + i + 1;
    if (next >= sequence.prompt()) break;
    const std::span<const float> logits = logits_row(slice.first_logits + i);
    check_finite(logits, next);
    logprobs_.read(logits);
    sequence.record->prompt_logprobs[next - 1] = logprobs_.of(sequence.tokens[next]);
  }
  if (sequence.computed >= sequence.prompt()) sequence.record->prompt_done.store(true, std::memory_order_release);
}

void Core::pool_hidden(Sequence& sequence, const Slice& slice) {
  const auto width = static_cast<std::size_t>(decoder_.config().hidden_size);
  if (sequence.pooled.empty()) sequence.pooled.assign(width, 0);
  // In order of positions, whatever the steps.
  for (std::size_t row = 0; row < slice.hidden; ++row)
    for (std::size_t i = 0; i < width; ++i)
      sequence.pooled[i] += static_cast<double>(hidden_[(slice.first_hidden + row) * width + i]);
  if (sequence.pending() > 0) return;
  const double count = sequence.request().pooling == Pooling::mean ? static_cast<double>(sequence.prompt()) : 1;
  std::vector<float>& out = sequence.record->hidden;
  out.resize(width);
  for (std::size_t i = 0; i < width; ++i) {
    out[i] = static_cast<float>(sequence.pooled[i] / count);
    if (!std::isfinite(out[i]))
      throw base::Error(base::ErrorCode::numeric,
                        base::cat("the model gave a hidden state that is not finite (channel ", i, ")"),
                        "The weights are damaged, or the model cannot be run in this precision; try --numerics exact.");
  }
  sequence.record->prompt_done.store(true, std::memory_order_release);
  finish(sequence, FinishReason::stop);
}

/// The prompt is done: its samples part, sharing its blocks; a half-filled one is copied by who first writes to it.
void Core::fork(Sequence& sequence, std::span<float> logits) {
  const std::size_t samples = sequence.unforked;
  places_ -= samples;
  sequence.unforked = 0;
  for (std::size_t i = 1; i <= samples; ++i) {
    auto other = std::make_unique<Sequence>(sequence);
    if (drafter_) open_draft(*other);
    other->sample = sequence.sample + i;
    other->tokens.reserve(sequence.tokens.capacity());
    other->blocks.reserve(sequence.blocks.capacity());
    other->memory.reserve(sequence.memory.capacity());
    for (const BlockId block : other->blocks) cache_.retain(block);
    other->id = next_id_++;
    other->account = queue_.open(sequence.request().identity);
    Sequence& one = *other;
    places_ += 1;
    running_.push_back(std::move(other));
    try {
      draw_or_hold(one, logits);
    } catch (const base::Error& error) {
      finish(one, FinishReason::error, &error);
    }
  }
}

/// The next token; none where its mask is not there in time: the logits are kept, and others' steps go on.
std::optional<TokenId> Core::draw_or_hold(Sequence& sequence, std::span<float> logits) {
  const ReplyControl& control = sequence.control;
  if (control.constraint() && !control.forced() && !masks().wait(control.constraint(), masks_until_)) {
    sequence.held.assign(logits.begin(), logits.end());
    return std::nullopt;
  }
  return draw(sequence, logits);
}

/// Replies whose masks have come.
void Core::draw_held() {
  for (const auto& sequence : running_) {
    if (sequence->held.empty() || !sequence->control.constraint()->ready()) continue;
    touch(*sequence);
    try {
      draw(*sequence, sequence->held);
    } catch (const base::Error& error) {
      finish(*sequence, FinishReason::error, &error);
    }
    sequence->held.clear();
  }
}

/// The next token, and what follows from it. A mask that it needs is there.
TokenId Core::draw(Sequence& sequence, std::span<float> logits) {
  const Request& request = sequence.request();
  ReplyRecord::Output& output = sequence.output();
  Usage& usage = output.end.usage;
  if (usage.output_tokens == 0) sequence.first_token = Clock::now();
  const std::size_t at = sequence.tokens.size() - sequence.prompt();  // not all before it may be reported yet
  if (request.logprobs) {
    check_finite(logits, sequence.tokens.size());
    logprobs_.read(logits);
    if (*request.logprobs > 0) logprobs_.top({output.top.get() + at * *request.logprobs, *request.logprobs});
  }
  ReplyControl& control = sequence.control;
  TokenId token = 0;
  bool ends = false;
  if (const auto forced = control.forced()) {
    token = *forced;
  } else {
    const TokenId drawn = sample(sequence, logits);
    ends = std::find(request.stop_tokens.begin(), request.stop_tokens.end(), drawn) != request.stop_tokens.end();
    token = control.redirect(drawn, ends);
    ends = ends && token == drawn;
  }
  if (request.logprobs) output.logprobs[at] = logprobs_.of(token);

  usage.output_tokens += 1;
  if (ends) {
    finish(sequence, FinishReason::stop);
    return token;
  }
  sequence.tokens.push_back(token);
  output.tokens[at] = token;
  control.took(sequence.tokens, sequence.prompt());
  output.count.store(control.reportable(), std::memory_order_release);
  if (control.stop()) {
    finish(sequence, FinishReason::stop);
  } else if (request.max_tokens != 0 && usage.output_tokens >= request.max_tokens) {
    finish(sequence, FinishReason::length);
  } else if (sequence.tokens.size() >= options_.context) {
    finish(sequence, FinishReason::context);
  }
  return token;
}

TokenId Core::sample(const Sequence& sequence, std::span<float> logits) {
  const Request& request = sequence.request();
  std::span<const std::uint32_t> allowed;
  const ReplyControl& control = sequence.control;
  if (control.constraint()) allowed = control.constraint()->mask();
  // Penalties change the row, which other samples and the token's own log-probability still need.
  const bool may_stop = (!allowed.empty() && allows_only(allowed, request.stop_tokens)) ||
                        (!request.ignore_eos && sequence.output().end.usage.output_tokens >= request.min_tokens);
  if (request.sampling.changes_logits() || !may_stop || !allowed.empty()) {
    std::copy(logits.begin(), logits.end(), row_.begin());
    logits = row_;
  }
  if (!may_stop)
    for (const TokenId stop : request.stop_tokens)
      if (static_cast<std::size_t>(stop) < logits.size()) logits[static_cast<std::size_t>(stop)] = kForbidden;
  if (!allowed.empty()) forbid_others(allowed, control.always_allowed(), logits);
  sampler_.use(request.sampling, sequence.sample, sequence.prompt());
  return sampler_.sample(logits, sequence.tokens, sequence.tokens.size());
}

/// Its end is written, its blocks go back; remove_finished() takes it from the list.
void Core::finish(Sequence& sequence, FinishReason reason, const base::Error* error) {
  const Clock::time_point now = Clock::now();
  const std::size_t samples = 1 + sequence.unforked;  // those that never parted end with it
  {
    ReplyRecord::Output& output = sequence.output();
    output.end.usage.thinking_tokens = sequence.control.thinking().tokens();
    if (const auto& stop = sequence.control.stop()) {
      output.end.stop_string = stop->index;
      output.end.tail = stop->tail;
    } else if (reason != FinishReason::cancelled && reason != FinishReason::error) {
      // What was held back is text after all; of one that was broken off nobody knows.
      output.count.store(sequence.tokens.size() - sequence.prompt(), std::memory_order_release);
    }
  }
  for (std::size_t i = 0; i < samples; ++i) {
    ReplyRecord::Output& output = sequence.record->outputs[sequence.sample + i];
    Finished& end = output.end;
    end.sample = sequence.sample + i;
    end.reason = reason;
    end.usage.prompt_tokens = sequence.prompt();
    end.usage.cached_tokens = sequence.record->cached.load(std::memory_order_relaxed);
    const Clock::time_point admitted = sequence.was_admitted ? sequence.admitted : now;
    const Clock::time_point first = end.usage.output_tokens > 0 ? sequence.first_token : now;
    end.timings = {.queue_seconds = seconds_between(sequence.submitted, admitted),
                   .prefill_seconds = seconds_between(admitted, first),
                   .decode_seconds = seconds_between(first, now)};
    if (error != nullptr) end.error = *error;
    output.finished.store(true, std::memory_order_release);
  }
  drop_blocks(sequence);
  touch(sequence);
  ended_.push_back(sequence.record);
  finished_.push_back(&sequence);
}

void Core::touch(const Sequence& sequence) {
  ReplyRecord* record = sequence.record.get();
  if (touched_.empty() || touched_.back() != record) touched_.push_back(record);
}

}  // namespace minke::engine
