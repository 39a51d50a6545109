// The memory of the cache: one map of blocks, taken once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace minke::engine {

using BlockId = std::uint32_t;
inline constexpr BlockId kNoBlock = ~BlockId{0};

class KvArena {
 public:
  /// Room for `blocks` blocks of `block_bytes` (a multiple of 64). `prefault`: every page is taken now, so that none is
  /// missing, or slow to come, later; else pages come when a block is first used. Error(out_of_memory).
  KvArena(std::size_t block_bytes, std::size_t blocks, bool prefault);
  ~KvArena();
  KvArena(const KvArena&) = delete;
  KvArena& operator=(const KvArena&) = delete;

  std::size_t block_bytes() const noexcept { return block_bytes_; }
  std::size_t blocks() const noexcept { return blocks_; }
  std::byte* data(BlockId block) const noexcept { return base_ + block * block_bytes_; }

 private:
  std::size_t block_bytes_, blocks_;
  std::byte* base_ = nullptr;
};

}  // namespace minke::engine
