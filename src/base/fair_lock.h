// A mutex that is had in the order in which it was asked for.
#pragma once

#include <atomic>
#include <cstdint>

namespace minke::base {

/// For a few threads that hold it for milliseconds and want it again at once: with a plain mutex one of them would
/// have it for ever. To be used with std::lock_guard.
class FairLock {
 public:
  FairLock() = default;
  FairLock(const FairLock&) = delete;
  FairLock& operator=(const FairLock&) = delete;

  void lock() noexcept {
    const std::uint32_t mine = next_.fetch_add(1, std::memory_order_relaxed);
    for (std::uint32_t at = turn_.load(std::memory_order_acquire); at != mine;
         at = turn_.load(std::memory_order_acquire)) {
      turn_.wait(at, std::memory_order_acquire);
    }
  }
  void unlock() noexcept {
    turn_.fetch_add(1, std::memory_order_release);
    turn_.notify_all();
  }

 private:
  std::atomic<std::uint32_t> next_{0}, turn_{0};
};

}  // namespace minke::base
