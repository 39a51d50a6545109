#include "base/signal.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

namespace minke::base {
namespace {

// The system looks at the four bytes of the count itself.
static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t) &&
              std::atomic<std::uint32_t>::is_always_lock_free);

void futex(const std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* most) noexcept {
  ::syscall(SYS_futex, &word, operation, value, most, nullptr, 0);
}

}  // namespace

void Signal::raise() noexcept {
  // Both sides write, then read what the other writes: in one order for all, so that not both can miss it.
  value_.fetch_add(1, std::memory_order_seq_cst);
  if (waiting_.load(std::memory_order_seq_cst) != 0) futex(value_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr);
}

bool Signal::wait(std::uint32_t seen, std::chrono::nanoseconds most) const noexcept {
  if (value() != seen) return true;
  const auto deadline = std::chrono::steady_clock::now() + most;
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  while (value_.load(std::memory_order_seq_cst) == seen) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    timespec time{};
    time.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
    time.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
    futex(value_, FUTEX_WAIT_PRIVATE, seen, &time);
  }
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return value() != seen;
}

}  // namespace minke::base
