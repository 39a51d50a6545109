// How one thread tells others that something has changed, without a mutex.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace minke::base {

/// A count of changes. Whoever waits reads value(), looks at what may have changed, and waits for another value: a
/// change in between ends the wait at once. raise() makes a system call only while somebody waits.
class Signal {
 public:
  std::uint32_t value() const noexcept { return value_.load(std::memory_order_acquire); }
  void raise() noexcept;
  /// Until value() is no longer `seen`, or the time is over; whether it changed.
  bool wait(std::uint32_t seen, std::chrono::nanoseconds most) const noexcept;

 private:
  std::atomic<std::uint32_t> value_{0};
  mutable std::atomic<std::uint32_t> waiting_{0};
};

}  // namespace minke::base
