// Core: guessed tokens. A guess is a row like any other, so its logits are those that the token would have had; it
// counts when the token drawn before it is the guess. What was drawn is therefore what would have been without.
#include <algorithm>

#include "base/error.h"
#include "engine/core.h"

namespace minke::engine {

void Core::open_draft(Sequence& sequence) {
  if (sequence.request().pooling == Pooling::none && sequence.request().speculate != Speculate::off)
    sequence.draft = drafter_->open(sequence.most_tokens(options_.context) + 1);
}

/// slices_ are the decoding replies: they get guesses, and the rows that these are worth.
void Core::plan_drafts() {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  drafts_.clear();
  candidates_.clear();
  for (const Slice& slice : slices_) {
    const Sequence& sequence = *slice.sequence;
    // After the last guess one more token is drawn.
    const std::size_t left = sequence.most_tokens(options_.context) - sequence.tokens.size();
    drafts_.emplace_back();
    DraftJob& job = drafts_.back();
    job.state = sequence.draft.get();
    job.history = sequence.tokens;
    job.most = std::min(left - std::min<std::size_t>(left, 1), kMostDraft);
    // Nobody else's blocks are taken for a guess.
    if (cache_.available() <= running_.size())
      job.most = std::min(job.most, sequence.blocks.size() * kBlock - sequence.computed - 1);
  }
  drafter_->draft(drafts_);
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    slices_[i].draft = &drafts_[i];
    const Sequence& sequence = *slices_[i].sequence;
    const bool always = sequence.request().speculate.value_or(options_.speculate) == Speculate::always;
    candidates_.push_back({.job = &drafts_[i], .record = &sequence.drafts, .always = always});
  }
  speculation_.choose(candidates_, cost_);
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    Slice& slice = slices_[i];
    Sequence& sequence = *slice.sequence;
    std::size_t rows = 1 + candidates_[i].rows;
    if (rows > 1 && !make_room(sequence, rows))
      rows = std::min(rows, sequence.blocks.size() * kBlock - sequence.computed);
    slice.rows = slice.logits = rows;
  }
}

/// Tokens are drawn one after the other, as they would have been, as long as the next row's guess was the token drawn.
void Core::take_drafts(const Slice& slice) {
  Sequence& sequence = *slice.sequence;
  const DraftJob& draft = *slice.draft;
  Usage& usage = sequence.output().end.usage;
  const std::size_t guessed = slice.rows - 1;
  usage.drafted_tokens += guessed;
  drafted_ += guessed;
  touch(sequence);
  for (std::size_t row = 0; row < slice.rows; ++row) {
    sequence.computed += 1;
    publish(sequence);
    queue_.charge(sequence.account, 1);
    std::optional<TokenId> token;
    try {
      token = draw_or_hold(sequence, logits_row(slice.first_logits + row));
    } catch (const base::Error& error) {
      return finish(sequence, FinishReason::error, &error);
    }
    if (!token || row >= draft.count) return;
    const bool right = *token == draft.tokens[row];
    sequence.drafts.learn(draft.evidence[row], right);
    if (row < guessed && right) {
      ++usage.accepted_tokens;
      ++accepted_;
    }
    if (!right || sequence.output().finished.load(std::memory_order_relaxed)) return;
  }
}

}  // namespace minke::engine
