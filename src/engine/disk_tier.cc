// Core: blocks that come from the disk and go there.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "engine/core.h"

namespace minke::engine {

/// Without the disk everything is computed: what is wrong with it is no error.
void Core::open_disk() {
  try {
    auto folder = options_.disk_folder ? options_.disk_folder : std::make_shared<DiskFolder>(options_.disk);
    disk_ = std::make_unique<DiskCache>(std::move(folder), options_.fingerprint, decoder_.block_bytes(), options_.wake,
                                        options_.warn);
  } catch (const base::Error& error) {
    if (options_.warn) options_.warn(base::cat("no cache on disk: ", error.message()));
  }
}

/// A published block that the disk has not been given yet, if it has its predecessor: the others are found by nobody.
void Core::store(const Sequence& sequence, std::size_t block) {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  const BlockId id = sequence.blocks[block], parent = block == 0 ? kNoBlock : sequence.blocks[block - 1];
  if (!cache_.published(id) || cache_.stored(id) || (parent != kNoBlock && !cache_.stored(parent))) return;
  const base::Digest before = parent == kNoBlock ? base::Digest{} : cache_.name(parent);
  const std::span<const TokenId> tokens = std::span(sequence.tokens).subspan(block * kBlock, kBlock);
  if (disk_->offer(realm_of(sequence, block), before, cache_.name(id), tokens, cache_.data(id))) cache_.mark_stored(id);
}

/// Asks the disk for the blocks that memory does not have. False: it runs without.
bool Core::begin_load(std::unique_ptr<Sequence>& sequence) {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  const std::size_t first = sequence->blocks.size(), whole = reusable_blocks(*sequence);
  const double compute_seconds = cost_.prefill_row_seconds() * kBlock;
  if (first >= whole || !disk_->worth_reading(compute_seconds)) return false;
  Loading loading{.load = std::make_shared<DiskLoad>(), .blocks = {}, .sequence = nullptr};
  DiskLoad& load = *loading.load;
  load.compute_seconds = compute_seconds;
  if (first > 0) load.parent = cache_.name(sequence->blocks.back());
  loading.blocks.reserve(whole - first);
  load.parts.resize(whole - first);
  for (std::size_t i = first; i < whole; ++i) {
    const BlockId block = cache_.take();
    if (block == kNoBlock) break;
    DiskLoad::Part& part = load.parts[loading.blocks.size()];
    part.realm = realm_of(*sequence, i);
    std::copy_n(sequence->tokens.begin() + static_cast<std::ptrdiff_t>(i * kBlock), kBlock, part.tokens.begin());
    part.to = cache_.data(block);
    loading.blocks.push_back(block);
  }
  load.parts.resize(loading.blocks.size());
  if (loading.blocks.empty()) return false;
  loading.sequence = std::move(sequence);
  disk_->read(loading.load);
  loads_.push_back(std::move(loading));
  return true;
}

/// Replies whose blocks have come begin.
void Core::collect_loads() {
  constexpr std::size_t kBlock = kernels::kKvBlock;
  for (std::size_t at = 0; at < loads_.size();) {
    const Loading& waiting = loads_[at];
    if (waiting.sequence && waiting.sequence->record->cancelled.load(std::memory_order_acquire))
      waiting.load->cancelled.store(true, std::memory_order_release);
    if (!waiting.load->done.load(std::memory_order_acquire)) {
      ++at;
      continue;
    }
    Loading loaded = std::move(loads_[at]);
    loads_.erase(loads_.begin() + static_cast<std::ptrdiff_t>(at));
    changed_ = true;
    std::size_t used = 0;
    if (loaded.sequence) {
      Sequence& sequence = *loaded.sequence;
      for (const std::size_t count = loaded.load->loaded.load(std::memory_order_acquire); used < count; ++used) {
        const std::size_t i = sequence.blocks.size();
        const BlockId parent = i == 0 ? kNoBlock : sequence.blocks[i - 1];
        const BlockId block = cache_.publish(loaded.blocks[used], parent, realm_of(sequence, i),
                                             std::span(sequence.tokens).subspan(i * kBlock, kBlock));
        cache_.mark_stored(block);
        sequence.blocks.push_back(block);
        sequence.memory.push_back(cache_.data(block));
      }
      sequence.published = sequence.blocks.size();
      sequence.computed = sequence.blocks.size() * kBlock;
    }
    for (std::size_t i = loaded.blocks.size(); i-- > used;) cache_.release(loaded.blocks[i]);
    if (loaded.sequence) begin(std::move(loaded.sequence));
  }
}

/// The replies end now, the loads when the disk's thread has seen it.
void Core::end_loads(FinishReason reason, const base::Error* error) {
  for (Loading& loading : loads_) {
    if (!loading.sequence) continue;
    finish(*loading.sequence, reason, error);
    queue_.close(loading.sequence->account);
    loading.sequence.reset();
    loading.load->cancelled.store(true, std::memory_order_release);
  }
}

std::size_t Core::loading() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(loads_.begin(), loads_.end(), [](const Loading& loading) { return loading.sequence != nullptr; }));
}

}  // namespace minke::engine
