// Core: how a request gets from the queue to running.
#include <algorithm>

#include "engine/core.h"
#include "engine/ngram_drafter.h"

namespace minke::engine {
namespace {

double seconds_of(Core::Clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

constexpr std::size_t blocks_for(std::size_t tokens) { return (tokens + kernels::kKvBlock - 1) / kernels::kKvBlock; }

base::Digest realm(const CoreOptions& options, std::string_view kind, std::string_view salt) {
  base::Sha256 hash;
  hash.add_number(options.secret.size()).add(options.secret).add(options.fingerprint).add(kind).add(salt);
  return hash.finish();
}

}  // namespace

Core::Core(const models::Decoder& decoder, const kernels::Ops& ops, const CoreOptions& options)
    : decoder_(decoder),
      ops_(ops),
      options_(options),
      cache_(decoder.block_bytes(), options.cache_blocks, options.prefault),
      workspace_(decoder.config(), workspace_rows(options)),
      logits_(new float[logit_rows(options) * decoder.vocab_size()]),
      row_(decoder.vocab_size()),
      sampler_({}, decoder.vocab_size()),
      logprobs_(decoder.vocab_size()),
      cost_({.most_rows = options.chunk, .target = options.target_inter_token},
            options.sequences + draft_rows(options)),
      drafter_(options.speculate == Speculate::off ? nullptr : std::make_unique<NgramDrafter>()),
      speculation_(options.sequences),
      queue_(options.queue),
      shared_realm_(realm(options, "shared", {})) {
  if (!options_.disk.folder.empty()) open_disk();
  running_.reserve(options.sequences);
  slices_.reserve(options.sequences);
  views_.reserve(options.sequences);
  pending_.reserve(options.sequences);
  drafts_.reserve(options.sequences);
  candidates_.reserve(options.sequences);
  rows_.reserve(options.sequences);
  touched_.reserve(4 * options.sequences);
  finished_.reserve(options.sequences);
  batch_.reserve(workspace_rows(options));
}

Core::~Core() {
  end_all(FinishReason::cancelled, nullptr);
  notify();
}

const base::Digest& Core::realm_of(const Sequence& sequence, std::size_t block) const noexcept {
  return block < sequence.shared_blocks ? shared_realm_ : sequence.realm;
}

void Core::enqueue(std::shared_ptr<ReplyRecord> record, Clock::time_point submitted) {
  end_measured();
  auto sequence = std::make_unique<Sequence>();
  sequence->record = std::move(record);
  const Request& request = sequence->request();
  sequence->unforked = request.samples - 1;
  sequence->tokens = request.tokens;
  sequence->control =
      ReplyControl(request, sequence->record->control, sequence->record->most_tokens, decoder_.vocab_size());
  sequence->realm = realm(options_, "tenant", request.salt);
  sequence->shared_blocks = std::min(request.shared_prefix, request.tokens.size()) / kernels::kKvBlock;
  sequence->submitted = submitted;
  sequence->id = next_id_++;
  sequence->account = queue_.open(request.identity);
  queue_.push(
      {.id = sequence->id, .account = sequence->account, .priority = request.priority, .since = seconds_of(submitted)});
  queued_.push_back(std::move(sequence));
  changed_ = queue_changed_ = true;
}

std::unique_ptr<Sequence> Core::take_waiting(std::uint64_t id) {
  for (auto* list : {&resumed_, &queued_})
    for (auto it = list->begin(); it != list->end(); ++it)
      if ((*it)->id == id) {
        if (list == &queued_) queue_.remove(id);
        std::unique_ptr<Sequence> sequence = std::move(*it);
        list->erase(it);
        queue_changed_ = true;
        return sequence;
      }
  return nullptr;
}

void Core::sweep_waiting() {
  std::vector<std::uint64_t> ids;
  for (const auto* list : {&resumed_, &queued_})
    for (const auto& sequence : *list)
      if (sequence->record->cancelled.load(std::memory_order_acquire)) ids.push_back(sequence->id);
  for (const std::uint64_t id : ids) {
    const std::unique_ptr<Sequence> sequence = take_waiting(id);
    finish(*sequence, FinishReason::cancelled);
    queue_.close(sequence->account);
    changed_ = true;
  }
  finished_.clear();
}

void Core::end_all(FinishReason reason, const base::Error* error) {
  for (auto* list : {&running_, &resumed_, &queued_}) {
    for (const auto& sequence : *list) {
      if (list == &queued_) queue_.remove(sequence->id);
      if (!sequence->output().finished.load(std::memory_order_relaxed)) finish(*sequence, reason, error);
      drop_blocks(*sequence);
      queue_.close(sequence->account);
    }
    list->clear();
  }
  end_loads(reason, error);
  places_ = 0;
  finished_.clear();
}

/// Finds what is cached of the sequence and whether the rest has room; if not, nothing is kept. What runs keeps a block
/// each to grow into, so that an admission does not at once drive another out.
bool Core::place(Sequence& sequence) {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  const std::size_t most = sequence.most_tokens(options_.context) + 1;
  sequence.tokens.reserve(most);
  sequence.blocks.reserve(blocks_for(most));
  sequence.memory.reserve(blocks_for(most));
  const std::span<const TokenId> tokens = sequence.tokens;
  const std::size_t whole = reusable_blocks(sequence);
  for (std::size_t i = 0; i < whole; ++i) {
    const BlockId parent = i == 0 ? kNoBlock : sequence.blocks[i - 1];
    const BlockId block = cache_.find(parent, realm_of(sequence, i), tokens.subspan(i * kBlock, kBlock));
    if (block == kNoBlock) break;
    sequence.blocks.push_back(block);
    sequence.memory.push_back(cache_.data(block));
  }
  const std::size_t needed = blocks_for(tokens.size() + 1) - sequence.blocks.size();
  if (running() > 0 && cache_.available() < needed + running()) {
    drop_blocks(sequence);
    return false;
  }
  sequence.published = sequence.blocks.size();
  sequence.computed = sequence.blocks.size() * kBlock;
  return true;
}

/// Of its tokens so far, what need not be computed. The last token always runs: its logits are wanted.
std::size_t Core::reusable_blocks(const Sequence& sequence) const noexcept {
  return sequence.scores_prompt() ? 0 : (sequence.tokens.size() - 1) / kernels::kKvBlock;
}

/// It has a place from here on; it runs once what the disk has of it is there.
void Core::start(std::unique_ptr<Sequence> sequence) {
  places_ += 1 + sequence->unforked;
  if (!sequence->was_admitted) sequence->admitted = Clock::now();
  if (!disk_) return begin(std::move(sequence));
  for (std::size_t i = 0; i < sequence->blocks.size(); ++i) store(*sequence, i);
  if (!begin_load(sequence)) begin(std::move(sequence));
}

void Core::begin(std::unique_ptr<Sequence> sequence) {
  ReplyRecord& record = *sequence->record;
  if (!sequence->was_admitted) {
    sequence->was_admitted = true;
    if (drafter_) open_draft(*sequence);
    record.queue_position.store(0, std::memory_order_release);
    record.cached.store(sequence->computed, std::memory_order_relaxed);
    record.prefill_done.store(sequence->computed, std::memory_order_release);
    // Of the prompt now, so that an identity's next request is judged by it; the reply as it is drawn.
    queue_.charge(sequence->account, sequence->prompt() - sequence->computed);
    touch(*sequence);
  }
  running_.push_back(std::move(sequence));
}

void Core::admit() {
  if (!changed_) return;
  changed_ = false;
  const double now = seconds_of(Clock::now());
  while (places_ < options_.sequences) {
    Sequence* candidate = nullptr;
    if (!resumed_.empty()) {
      candidate = resumed_.front().get();
    } else if (const Waiting* next = queue_.next(now)) {
      const auto found =
          std::find_if(queued_.begin(), queued_.end(), [&](const auto& sequence) { return sequence->id == next->id; });
      candidate = found->get();
    }
    if (candidate == nullptr || places_ + 1 + candidate->unforked > options_.sequences || !place(*candidate)) break;
    start(take_waiting(candidate->id));
  }
  if (queue_changed_) tell_positions();
}

void Core::tell_positions() {
  queue_changed_ = false;
  const double rate = cost_.rows_per_second();
  std::size_t left = 0;  // rows of the shortest way to a free place
  for (const auto& sequence : running_) {
    const std::size_t most = sequence->record->most_tokens + sequence->prompt();
    const std::size_t rest = most - std::min(most, sequence->computed);
    left = left == 0 ? rest : std::min(left, rest);
  }
  double mean = 0;  // rows of a waiting request
  for (const auto& sequence : queued_)
    mean += static_cast<double>(sequence->prompt() + std::min<std::size_t>(sequence->record->most_tokens, 512));
  if (!queued_.empty()) mean /= static_cast<double>(queued_.size());
  queue_.for_each([&](const Waiting& waiting) {
    const auto found =
        std::find_if(queued_.begin(), queued_.end(), [&](const auto& sequence) { return sequence->id == waiting.id; });
    if (found == queued_.end()) return;
    ReplyRecord& record = *(*found)->record;
    const std::size_t position = queue_.position(waiting);
    const double rows = static_cast<double>(left) * static_cast<double>(std::max<std::size_t>(1, running_.size())) +
                        static_cast<double>(position - 1) * mean;
    record.estimated_wait.store(rate > 0 ? rows / rate : 0, std::memory_order_relaxed);
    if (record.queue_position.exchange(position, std::memory_order_acq_rel) != position) touched_.push_back(&record);
  });
}

}  // namespace minke::engine
