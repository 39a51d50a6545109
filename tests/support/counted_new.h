// Replaces operator new of a test program by one that counts. Include in exactly one source of the program.
#pragma once

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace minke::test {

/// Bytes that this program holds from new, and the most it held since the peak was last set.
inline std::atomic<std::size_t> allocated{0}, peak{0};

inline void* counted(std::size_t size) {
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc();
  const std::size_t now = allocated.fetch_add(::malloc_usable_size(block)) + ::malloc_usable_size(block);
  std::size_t before = peak.load();
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
  return block;
}

inline void uncounted(void* block) noexcept {
  if (block == nullptr) return;
  allocated.fetch_sub(::malloc_usable_size(block));
  std::free(block);
}

}  // namespace minke::test

void* operator new(std::size_t size) { return minke::test::counted(size); }
void* operator new[](std::size_t size) { return minke::test::counted(size); }
void operator delete(void* block) noexcept { minke::test::uncounted(block); }
void operator delete[](void* block) noexcept { minke::test::uncounted(block); }
void operator delete(void* block, std::size_t) noexcept { minke::test::uncounted(block); }
void operator delete[](void* block, std::size_t) noexcept { minke::test::uncounted(block); }
