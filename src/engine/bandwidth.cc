#include "engine/bandwidth.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>

#include "base/memory.h"

namespace minke::engine {
namespace {

constexpr std::size_t kStride = 8;  // words of a cache line: one independent sum for each
constexpr int kPasses = 5;
constexpr std::size_t kLeastBytes = std::size_t{256} << 20;

/// The hardware's own prefetcher stops at each 4 KiB; asking 2 KiB ahead read 3 to 20 % faster on a Xeon (Granite
/// Rapids class), and never slower on Zen 4. Asking beyond the end does no harm.
constexpr std::size_t kAhead = 2048 / sizeof(std::uint64_t);

std::uint64_t sum_words(const std::uint64_t* words, std::size_t count) noexcept {
  std::array<std::uint64_t, kStride> sums{};
  for (std::size_t i = 0; i + kStride <= count; i += kStride) {
    __builtin_prefetch(words + i + kAhead);
    for (std::size_t j = 0; j < kStride; ++j) sums[j] += words[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

/// Memory straight from the system, in huge pages where it has them, as weights are held.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes) {
    void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    ::madvise(mapped, bytes, MADV_HUGEPAGE);
    words_ = static_cast<std::uint64_t*>(mapped);
  }
  ~Memory() { ::munmap(words_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::uint64_t* words() const { return words_; }

 private:
  std::size_t bytes_;
  std::uint64_t* words_;
};

/// Twice the last cache, within what is free, so that it is memory that is read.
std::size_t beyond_caches() {
  std::size_t bytes = kLeastBytes;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  const long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (cache > 0) bytes = std::max(bytes, 2 * static_cast<std::size_t>(cache));
#endif
  return std::min<std::size_t>(bytes, std::max<std::uint64_t>(base::available_memory() / 4, 1 << 20));
}

}  // namespace

double measure_read_bandwidth(base::ThreadPool& pool, std::size_t bytes) {
  using Clock = std::chrono::steady_clock;
  const std::size_t parts = pool.size();
  if (bytes == 0) bytes = beyond_caches();
  const std::size_t part_words = std::max(bytes / sizeof(std::uint64_t) / parts / kStride, std::size_t{1}) * kStride;
  // Not initialised here: each thread touches its own part first, so that the pages lie near it.
  const Memory memory(part_words * parts * sizeof(std::uint64_t));
  std::uint64_t* const words = memory.words();
  const auto sums = std::make_unique<std::uint64_t[]>(parts);
  pool.run(parts,
           [&](std::size_t part) { std::fill_n(words + part * part_words, part_words, std::uint64_t{part} + 1); });
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    pool.run(parts, [&](std::size_t part) { sums[part] = sum_words(words + part * part_words, part_words); });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    // The sums are known: comparing them keeps the reads from being optimised away.
    bool right = true;
    for (std::size_t part = 0; part < parts; ++part) right = right && sums[part] == part_words * (part + 1);
    if (right && seconds > 0) {
      best = std::max(best, static_cast<double>(part_words * parts * sizeof(std::uint64_t)) / seconds);
    }
  }
  return best;
}

}  // namespace minke::engine
