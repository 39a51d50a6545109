#include "engine/kv_arena.h"

#include <sys/mman.h>

#include "base/bytes.h"
#include "base/error.h"

namespace minke::engine {

KvArena::KvArena(std::size_t block_bytes, std::size_t blocks, bool prefault)
    : block_bytes_(block_bytes), blocks_(blocks) {
  const std::uint64_t bytes = base::checked_mul(block_bytes, blocks, "the KV cache's size");
  // Not reserved: the plan has compared it with what is available, and most of it may never be used.
  void* map = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED)
    throw base::Error(base::ErrorCode::out_of_memory,
                      base::cat("no memory for the KV cache: ", blocks, " blocks of ", block_bytes, " bytes"),
                      "Use a smaller --ctx-size.");
  base_ = static_cast<std::byte*>(map);
  ::madvise(map, bytes, MADV_HUGEPAGE);
  if (!prefault) return;
#if defined(MADV_POPULATE_WRITE)
  if (::madvise(map, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  constexpr std::size_t kPage = 4096;
  for (std::uint64_t at = 0; at < bytes; at += kPage) *static_cast<volatile std::byte*>(base_ + at) = std::byte{0};
}

KvArena::~KvArena() { ::munmap(base_, block_bytes_ * blocks_); }

}  // namespace minke::engine
