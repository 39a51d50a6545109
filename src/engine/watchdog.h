// Notices a step that does not end.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace minke::engine {

/// Being told costs a few stores; a thread that looks now and then is there only when somebody wants to hear.
class Watchdog {
 public:
  struct Reading {
    std::uint64_t steps = 0;
    double age = 0;      ///< seconds since the last step was finished, or since the start
    double running = 0;  ///< seconds since the present one began; 0: there is none
    bool stuck = false;
  };

  Watchdog(double stuck_seconds, std::function<void(double)> on_stuck);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Around each step, or look at an empty queue; finished() in between when it was a step.
  void begin() noexcept;
  void finished() noexcept;
  void end() noexcept;
  Reading read() const noexcept;

 private:
  void watch();

  const double stuck_seconds_;
  const std::function<void(double)> on_stuck_;
  std::atomic<std::int64_t> began_{0}, ended_;  // nanoseconds; began_ 0: between steps
  std::atomic<std::uint64_t> steps_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace minke::engine
