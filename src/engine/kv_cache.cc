#include "engine/kv_cache.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace minke::engine {

base::Digest block_name(const base::Digest& parent, const base::Digest& realm,
                        std::span<const TokenId> tokens) noexcept {
  return base::Sha256().add(parent).add(realm).add(std::as_bytes(tokens)).finish();
}

KvCache::KvCache(std::size_t block_bytes, std::size_t blocks, bool prefault)
    : arena_(block_bytes, blocks, prefault), entries_(blocks), slots_(std::bit_ceil(2 * blocks + 2), kNoBlock) {
  free_.reserve(blocks);
  // The first to be taken is block 0.
  for (std::size_t i = blocks; i-- > 0;) free_.push_back(static_cast<BlockId>(i));
}

BlockId KvCache::take() noexcept {
  BlockId block = kNoBlock;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else if (oldest_ != kNoBlock) {
    block = oldest_;
    remove_unused(block);
    unpublish(block);
    ++stats_.evictions;
  } else {
    return kNoBlock;
  }
  Entry& entry = entries_[block];
  entry.references = 1;
  entry.stored = false;
  ++entry.serial;
  return block;
}

void KvCache::retain(BlockId block) noexcept {
  Entry& entry = entries_[block];
  if (entry.references == 0) remove_unused(block);
  ++entry.references;
}

void KvCache::release(BlockId block) noexcept {
  Entry& entry = entries_[block];
  assert(entry.references > 0);
  if (--entry.references > 0) return;
  if (entry.published) {
    append_unused(block);
  } else {
    free_.push_back(block);
  }
}

base::Digest KvCache::name_of(BlockId parent, const base::Digest& realm,
                              std::span<const TokenId> tokens) const noexcept {
  return block_name(parent == kNoBlock ? base::Digest{} : entries_[parent].name, realm, tokens);
}

bool KvCache::matches(const Entry& entry, BlockId parent, const base::Digest& realm,
                      std::span<const TokenId> tokens) const noexcept {
  return entry.parent == parent && (parent == kNoBlock || entry.parent_serial == entries_[parent].serial) &&
         entry.realm == realm && std::equal(tokens.begin(), tokens.end(), entry.tokens.begin(), entry.tokens.end());
}

/// Where the name is, or would be put.
std::size_t KvCache::slot_of(const base::Digest& name) const noexcept {
  std::uint64_t start = 0;
  std::memcpy(&start, name.data(), sizeof start);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = start & mask;
  while (slots_[slot] != kNoBlock && entries_[slots_[slot]].name != name) slot = (slot + 1) & mask;
  return slot;
}

BlockId KvCache::find(BlockId parent, const base::Digest& realm, std::span<const TokenId> tokens) noexcept {
  const BlockId block = slots_[slot_of(name_of(parent, realm, tokens))];
  if (block == kNoBlock || !matches(entries_[block], parent, realm, tokens)) {
    ++stats_.misses;
    return kNoBlock;
  }
  ++stats_.hits;
  retain(block);
  return block;
}

BlockId KvCache::publish(BlockId block, BlockId parent, const base::Digest& realm,
                         std::span<const TokenId> tokens) noexcept {
  assert(tokens.size() == kernels::kKvBlock);
  if (parent != kNoBlock && !entries_[parent].published) return block;
  const base::Digest name = name_of(parent, realm, tokens);
  const BlockId there = slots_[slot_of(name)];
  if (there != kNoBlock) {
    // Another content under this name is a lost chain's rest: it goes by itself.
    if (there == block || !matches(entries_[there], parent, realm, tokens)) return block;
    retain(there);
    release(block);
    ++stats_.merged;
    return there;
  }
  Entry& entry = entries_[block];
  entry.parent = parent;
  entry.parent_serial = parent == kNoBlock ? 0 : entries_[parent].serial;
  entry.name = name;
  entry.realm = realm;
  std::copy(tokens.begin(), tokens.end(), entry.tokens.begin());
  entry.published = true;
  insert_slot(block);
  return block;
}

void KvCache::insert_slot(BlockId block) noexcept { slots_[slot_of(entries_[block].name)] = block; }

void KvCache::erase_slot(BlockId block) noexcept {
  std::size_t slot = slot_of(entries_[block].name);
  slots_[slot] = kNoBlock;
  // What was pushed on past this slot is put where it is found again.
  const std::size_t mask = slots_.size() - 1;
  for (slot = (slot + 1) & mask; slots_[slot] != kNoBlock; slot = (slot + 1) & mask) {
    const BlockId moved = slots_[slot];
    slots_[slot] = kNoBlock;
    insert_slot(moved);
  }
}

void KvCache::unpublish(BlockId block) noexcept {
  erase_slot(block);
  entries_[block].published = false;
}

void KvCache::append_unused(BlockId block) noexcept {
  Entry& entry = entries_[block];
  entry.older = newest_;
  entry.newer = kNoBlock;
  (newest_ == kNoBlock ? oldest_ : entries_[newest_].newer) = block;
  newest_ = block;
  ++unused_;
}

void KvCache::remove_unused(BlockId block) noexcept {
  Entry& entry = entries_[block];
  (entry.older == kNoBlock ? oldest_ : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNoBlock ? newest_ : entries_[entry.newer].older) = entry.older;
  --unused_;
}

void KvCache::clear() noexcept {
  while (oldest_ != kNoBlock) {
    const BlockId block = oldest_;
    remove_unused(block);
    unpublish(block);
    free_.push_back(block);
  }
}

}  // namespace minke::engine
