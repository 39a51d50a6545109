// Which blocks of the cache are in use, by how many, and which may be found again by what they hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "engine/kv_arena.h"
#include "engine/request.h"
#include "kernels/kv_layout.h"

namespace minke::engine {

/// The name of the block that follows the one named `parent` (zeros: the first).
base::Digest block_name(const base::Digest& parent, const base::Digest& realm,
                        std::span<const TokenId> tokens) noexcept;

/// Blocks are reference counted. One that holds 64 tokens can be published under its name: SHA-256 over (its
/// predecessor's name, its realm, its tokens), the realm being a digest of the installation's secret, the model's
/// fingerprint and the tenant's salt. The name only finds; a hit also compares predecessor, realm and tokens, so that
/// no property of the hash decides what is right. Published blocks that nobody uses stay until room is needed, the
/// longest unused first. A block is never used longer ago than its predecessor (release in descending order), so chains
/// lose their ends first. One thread. Nothing is allocated after construction.
class KvCache {
 public:
  struct Stats {
    std::uint64_t hits = 0, misses = 0;  ///< blocks looked for
    std::uint64_t evictions = 0;
    std::uint64_t merged = 0;  ///< computed twice, kept once
  };

  KvCache(std::size_t block_bytes, std::size_t blocks, bool prefault);

  std::size_t blocks() const noexcept { return entries_.size(); }
  /// Blocks that take() can still give.
  std::size_t available() const noexcept { return free_.size() + unused_; }
  /// Published and in nobody's use.
  std::size_t cached() const noexcept { return unused_; }
  const Stats& stats() const noexcept { return stats_; }

  std::byte* data(BlockId block) const noexcept { return arena_.data(block); }
  std::uint32_t references(BlockId block) const noexcept { return entries_[block].references; }

  /// Of a published block.
  const base::Digest& name(BlockId block) const noexcept { return entries_[block].name; }
  bool published(BlockId block) const noexcept { return entries_[block].published; }
  /// A note of the caller's on a published block, gone when it holds something else: it is on the disk, too.
  bool stored(BlockId block) const noexcept { return entries_[block].stored; }
  void mark_stored(BlockId block) noexcept { entries_[block].stored = entries_[block].published; }

  /// A block with one reference; what it holds is undefined. kNoBlock when every block is in use.
  BlockId take() noexcept;
  void retain(BlockId block) noexcept;
  void release(BlockId block) noexcept;

  /// The published block that follows `parent` (kNoBlock: the first) and holds these 64 tokens, retained; or kNoBlock.
  BlockId find(BlockId parent, const base::Digest& realm, std::span<const TokenId> tokens) noexcept;
  /// Publishes a block of the caller's, complete and never written again. When the same is published already, that one
  /// is retained and returned, and `block` released; else returns `block`. A block whose parent is not published is not
  /// either.
  BlockId publish(BlockId block, BlockId parent, const base::Digest& realm, std::span<const TokenId> tokens) noexcept;

  /// Forgets every published block that nobody uses.
  void clear() noexcept;

 private:
  struct Entry {
    std::uint32_t references = 0;
    std::uint32_t serial = 0;  ///< of its present content: a parent is a block and a serial
    BlockId parent = kNoBlock;
    std::uint32_t parent_serial = 0;
    BlockId older = kNoBlock, newer = kNoBlock;  ///< in the list of unused ones
    bool published = false, stored = false;
    base::Digest name{}, realm{};
    std::array<TokenId, kernels::kKvBlock> tokens{};
  };

  base::Digest name_of(BlockId parent, const base::Digest& realm, std::span<const TokenId> tokens) const noexcept;
  bool matches(const Entry& entry, BlockId parent, const base::Digest& realm,
               std::span<const TokenId> tokens) const noexcept;
  std::size_t slot_of(const base::Digest& name) const noexcept;
  void insert_slot(BlockId block) noexcept;
  void erase_slot(BlockId block) noexcept;
  void unpublish(BlockId block) noexcept;
  void append_unused(BlockId block) noexcept;
  void remove_unused(BlockId block) noexcept;

  KvArena arena_;
  std::vector<Entry> entries_;
  std::vector<BlockId> free_;
  std::vector<BlockId> slots_;  ///< open addressing by name; a power of two, at most half full
  BlockId oldest_ = kNoBlock, newest_ = kNoBlock;
  std::size_t unused_ = 0;
  Stats stats_;
};

}  // namespace minke::engine
