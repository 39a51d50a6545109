#include "engine/core.h"

#include <algorithm>
#include <exception>

#include "base/error.h"
#include "engine/share_rows.h"

namespace minke::engine {
namespace {

/// Of a step's own time, what it may take longer for masks that are nearly there, and at least so long: a reply that
/// sits out loses its guesses.
constexpr double kMaskPatience = 0.125;
constexpr double kLeastPatience = 0.0005;  // seconds

}  // namespace

bool Core::step() {
  collect_loads();
  if (running() + waiting() > 0) end_measured();
  for (const auto& sequence : running_)
    if (sequence->record->cancelled.load(std::memory_order_acquire)) finish(*sequence, FinishReason::cancelled);
  remove_finished();
  draw_held();
  remove_finished();
  admit();
  if (!plan()) return false;
  build_batch();
  start_masks();
  const Clock::time_point start = Clock::now();
  decoder_.forward(ops_, batch_, views_, workspace_, logits_.get(), hidden_.get());
  decoder_.check_files();  // before anything of this step counts
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::size_t decoding = 0;
  for (const Slice& slice : slices_) decoding += slice.sequence->decoding() ? slice.rows : 0;
  cost_.learn(decoding, batch_.size() - decoding, seconds);
  const std::chrono::duration<double> patience(std::max(kMaskPatience * seconds, kLeastPatience));
  masks_until_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience);
  for (const Slice& slice : slices_) take_outputs(slice);
  remove_finished();
  return true;
}

/// Fills slices_; false when nothing can run.
bool Core::plan() {
  while (!running_.empty()) {
    slices_.clear();
    if (!plan_decode()) continue;  // somebody gave up its blocks
    if (drafter_) plan_drafts();
    plan_prefill();
    if (!slices_.empty()) return true;
    // A mask that comes wakes the engine.
    if (std::all_of(running_.begin(), running_.end(), [](const auto& sequence) { return !sequence->held.empty(); }))
      return false;
    preempt_youngest();
  }
  return false;
}

bool Core::plan_decode() {
  for (const auto& sequence : running_) {
    if (!sequence->decoding()) continue;
    if (!make_room(*sequence, 1)) {
      preempt_youngest();
      return false;
    }
    slices_.push_back({.sequence = sequence.get(), .rows = 1, .logits = 1});
  }
  return true;
}

void Core::plan_prefill() {
  pending_.clear();
  std::size_t prompts = 0, held = 0;
  for (const auto& sequence : running_) {
    pending_.push_back(sequence->decoding() ? 0 : sequence->pending());
    prompts += pending_.back() > 0 ? 1 : 0;
    held += sequence->held.empty() ? 0 : 1;
  }
  if (prompts == 0) return;
  std::size_t decoding = 0;
  for (const Slice& slice : slices_) decoding += slice.rows;
  // Who waits for a mask will want the next step soon.
  const std::size_t timely = cost_.prefill_rows(decoding + held, prompts);
  const std::size_t wanted = slices_.empty() ? std::max(timely, StepCost::kLeastRows) : timely;
  const std::size_t budget = std::min(wanted, workspace_.max_rows - std::min(workspace_.max_rows, decoding));
  rows_.resize(pending_.size());
  share_rows(pending_, budget, rows_);
  std::size_t scores = kScoreRows;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    std::size_t rows = rows_[i];
    if (sequence.request().prompt_logprobs && sequence.computed < sequence.prompt()) {
      rows = std::min(rows, scores);
      scores -= rows;
    }
    if (rows == 0) continue;
    if (!make_room(sequence, rows)) {
      const std::size_t room = sequence.blocks.size() * kernels::kKvBlock;
      rows = room > sequence.computed ? std::min(rows, room - sequence.computed) : 0;
      // A half-filled block that others read, too: without a copy of it nothing can be written.
      if (rows > 0 && sequence.computed % kernels::kKvBlock != 0 &&
          cache_.references(sequence.blocks[sequence.computed / kernels::kKvBlock]) > 1)
        rows = 0;
    }
    if (rows > 0) slices_.push_back({.sequence = &sequence, .rows = rows});
  }
}

/// Blocks of the sequence's own for `rows` more rows. False when there are not enough; what was got is kept.
bool Core::make_room(Sequence& sequence, std::size_t rows) {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  const std::size_t first = sequence.computed / kBlock;
  if (first < sequence.blocks.size() && cache_.references(sequence.blocks[first]) > 1) {
    const BlockId copy = cache_.take();
    if (copy == kNoBlock) return false;
    std::copy_n(cache_.data(sequence.blocks[first]), decoder_.block_bytes(), cache_.data(copy));
    cache_.release(sequence.blocks[first]);
    sequence.blocks[first] = copy;
    sequence.memory[first] = cache_.data(copy);
  }
  while (sequence.blocks.size() * kBlock < sequence.computed + rows) {
    const BlockId block = cache_.take();
    if (block == kNoBlock) return false;
    sequence.blocks.push_back(block);
    sequence.memory.push_back(cache_.data(block));
  }
  return true;
}

/// The last admitted, of batch requests if there are any: the oldest always gets through.
void Core::preempt_youngest() {
  auto victim = running_.end() - 1;
  for (auto it = running_.begin(); it != running_.end(); ++it)
    if ((*it)->request().priority == Priority::batch) victim = it;
  std::unique_ptr<Sequence> sequence = std::move(*victim);
  running_.erase(victim);
  places_ -= 1 + sequence->unforked;
  drop_blocks(*sequence);
  sequence->pooled.clear();
  sequence->held.clear();
  ++preemptions_;
  // In order of arrival, which ids have.
  const auto at =
      std::find_if(resumed_.begin(), resumed_.end(), [&](const auto& other) { return other->id > sequence->id; });
  resumed_.insert(at, std::move(sequence));
}

void Core::drop_blocks(Sequence& sequence) noexcept {
  // Descending: what is published loses its ends first.
  for (std::size_t i = sequence.blocks.size(); i-- > 0;) cache_.release(sequence.blocks[i]);
  sequence.blocks.clear();
  sequence.memory.clear();
  sequence.computed = sequence.published = 0;
}

void Core::build_batch() {
  batch_.clear();
  views_.clear();
  std::size_t logits = 0, hidden = 0;
  for (Slice& slice : slices_) {
    const Sequence& sequence = *slice.sequence;
    const Request& request = sequence.request();
    const std::size_t end = sequence.computed + slice.rows;
    slice.first_logits = logits;
    slice.first_hidden = hidden;
    for (std::size_t position = sequence.computed; position < end; ++position) {
      const bool guess = position >= sequence.tokens.size();
      const bool last = position + 1 >= sequence.tokens.size();
      const bool pooled = request.pooling == Pooling::mean || (request.pooling == Pooling::last && last);
      const bool scored = last || (request.prompt_logprobs && position + 1 < sequence.prompt());
      batch_.push_back(
          {.token = guess ? slice.draft->tokens[position - sequence.tokens.size()] : sequence.tokens[position],
           .sequence = static_cast<std::uint32_t>(views_.size()),
           .position = static_cast<std::uint32_t>(position),
           .wants_logits = request.pooling == Pooling::none && scored,
           .wants_hidden = pooled});
      logits += batch_.back().wants_logits ? 1 : 0;
      hidden += pooled ? 1 : 0;
    }
    slice.logits = logits - slice.first_logits;
    slice.hidden = hidden - slice.first_hidden;
    views_.push_back({.blocks = sequence.memory.data()});
  }
  if (hidden > 0 && !hidden_)
    hidden_.reset(new float[workspace_.max_rows * static_cast<std::size_t>(decoder_.config().hidden_size)]);
}

/// The masks that this step's draws need, while the model computes.
void Core::start_masks() noexcept {
  for (const Slice& slice : slices_) {
    const ReplyControl& control = slice.sequence->control;
    if (!control.constraint() || slice.rows < slice.sequence->pending() || control.forced()) continue;
    try {
      if (control.constraint()->stale()) masks().start(control.constraint());
    } catch (const std::exception&) {
      // Tried again, and told, where the mask is needed.
    }
  }
}

/// Whole blocks that are now complete.
void Core::publish(Sequence& sequence) {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  for (; (sequence.published + 1) * kBlock <= sequence.computed; ++sequence.published) {
    const std::size_t i = sequence.published;
    const BlockId parent = i == 0 ? kNoBlock : sequence.blocks[i - 1];
    sequence.blocks[i] = cache_.publish(sequence.blocks[i], parent, realm_of(sequence, i),
                                        std::span(sequence.tokens).subspan(i * kBlock, kBlock));
    sequence.memory[i] = cache_.data(sequence.blocks[i]);
    if (disk_) store(sequence, i);
  }
}

void Core::remove_finished() {
  if (finished_.empty()) return;
  const auto done = [&](const std::unique_ptr<Sequence>& sequence) {
    if (std::find(finished_.begin(), finished_.end(), sequence.get()) == finished_.end()) return false;
    places_ -= 1 + sequence->unforked;
    queue_.close(sequence->account);
    return true;
  };
  running_.erase(std::remove_if(running_.begin(), running_.end(), done), running_.end());
  finished_.clear();
  changed_ = true;
  queue_changed_ = true;
}

void Core::notify() {
  for (ReplyRecord* record : touched_) {
    record->signal.raise();
    if (record->notify) record->notify();
  }
  touched_.clear();
  ended_.clear();
}

// ---- measuring and scoring, beside the replies

void Core::end_measured() noexcept {
  for (std::size_t i = measured_.blocks.size(); i-- > 0;) cache_.release(measured_.blocks[i]);
  measured_.blocks.clear();
  measured_.memory.clear();
  measured_.tokens.clear();
}

/// Runs `tokens` at positions first, first + 1, ...; `logits` gets every row's, or the last one's.
void Core::run_measured(std::span<const TokenId> tokens, std::size_t first, float* logits, bool all) {
  while (measured_.blocks.size() * kernels::kKvBlock < first + tokens.size()) {
    const BlockId block = cache_.take();
    if (block == kNoBlock)
      throw base::Error(base::ErrorCode::out_of_memory,
                        base::cat("the KV cache's ", cache_.blocks(), " blocks are in use"), "Try again later.");
    measured_.blocks.push_back(block);
    measured_.memory.push_back(cache_.data(block));
  }
  batch_.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i)
    batch_.push_back({.token = tokens[i],
                      .sequence = 0,
                      .position = static_cast<std::uint32_t>(first + i),
                      .wants_logits = logits != nullptr && (all || i + 1 == tokens.size())});
  const kernels::KvView view{.blocks = measured_.memory.data()};
  measured_.tokens.resize(first);
  decoder_.forward(ops_, batch_, std::span(&view, 1), workspace_, logits);
  decoder_.check_files();
  measured_.tokens.insert(measured_.tokens.end(), tokens.begin(), tokens.end());
}

bool Core::feed(std::span<const TokenId> tokens, std::size_t reuse, std::size_t singles,
                const std::function<bool(std::size_t, std::size_t)>& progress) {
  const auto mine = std::span(measured_.tokens).first(std::min(measured_.tokens.size(), reuse));
  const auto same = std::mismatch(mine.begin(), mine.end(), tokens.begin(), tokens.end());
  std::size_t done = std::min(static_cast<std::size_t>(same.second - tokens.begin()), tokens.size() - 1);
  const std::size_t chunked = tokens.size() - std::min(singles, tokens.size());
  while (done < tokens.size()) {
    if (progress && !progress(done, tokens.size())) return false;
    const std::size_t count = done < chunked ? std::min(options_.chunk, chunked - done) : 1;
    const bool last = done + count == tokens.size() || done >= chunked;
    run_measured(tokens.subspan(done, count), done, last ? logits_.get() : nullptr, /*all=*/false);
    done += count;
  }
  return !progress || progress(done, tokens.size());
}

void Core::logits(std::span<const TokenId> ids, std::size_t chunk,
                  const std::function<bool(std::size_t, std::span<const float>)>& row) {
  /// Rows per step by default: each holds a vocabulary of logits (78 MB at 152k x 128).
  constexpr std::size_t kLogitsChunk = 128;
  end_measured();
  const std::size_t vocab = decoder_.vocab_size();
  const std::size_t rows = std::min({chunk == 0 ? kLogitsChunk : chunk, options_.chunk, ids.size()});
  std::vector<float> out(rows * vocab);
  for (std::size_t first = 0; first < ids.size(); first += rows) {
    const std::size_t count = std::min(rows, ids.size() - first);
    run_measured(ids.subspan(first, count), first, out.data(), /*all=*/true);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> logits = std::span(out).subspan(i * vocab, vocab);
      check_finite(logits, first + i);
      if (!row(first + i, logits)) return end_measured();
    }
  }
  end_measured();
}

}  // namespace minke::engine
