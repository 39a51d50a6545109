// Processor time that one reply's grammar may take, and the thread that cancels what takes more.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace minke::constrain {

class TimeAllowance;

/// Looks after any number of allowances, every 20 ms while there are some: work that is measured pays two clock
/// readings, and wakes nobody.
class TimeKeeper {
 public:
  TimeKeeper() = default;
  ~TimeKeeper();
  TimeKeeper(const TimeKeeper&) = delete;
  TimeKeeper& operator=(const TimeKeeper&) = delete;

 private:
  friend class TimeAllowance;
  void add(TimeAllowance& allowance);
  void remove(const TimeAllowance& allowance);
  void watch();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TimeAllowance*> allowances_;  // guarded by mutex_
  bool stop_ = false;                       // guarded by mutex_
  std::thread thread_;                      // started with the first allowance; guarded by mutex_
};

/// One reply's: some time to begin with, a little more with each token. In time of the working thread's processor, not
/// of the clock on the wall, so that a busy machine cuts nobody off. Used by one thread at a time.
class TimeAllowance {
 public:
  struct Rates {
    std::chrono::nanoseconds first;  ///< to begin with, and the most that is ever saved up
    std::chrono::nanoseconds each;   ///< more with each token
  };
  /// `cancel` is called on the keeper's thread, perhaps several times, while work takes longer than is left.
  TimeAllowance(std::shared_ptr<TimeKeeper> keeper, const Rates& rates, std::function<void()> cancel);
  ~TimeAllowance();
  TimeAllowance(const TimeAllowance&) = delete;
  TimeAllowance& operator=(const TimeAllowance&) = delete;

  void earn() noexcept;
  bool used_up() const noexcept { return left_ <= 0; }

  /// While it lives, the calling thread's time is spent.
  class Spending {
   public:
    explicit Spending(TimeAllowance& allowance) noexcept;
    ~Spending();
    Spending(const Spending&) = delete;
    Spending& operator=(const Spending&) = delete;

   private:
    TimeAllowance& allowance_;
    std::int64_t began_;
  };

 private:
  friend class TimeKeeper;
  static constexpr std::int64_t kIdle = -1;
  /// The keeper's look at it.
  void check() const;

  std::shared_ptr<TimeKeeper> keeper_;
  std::int64_t most_, each_, left_;  // nanoseconds
  std::function<void()> cancel_;
  std::atomic<clockid_t> clock_{};             // of the thread that spends
  std::atomic<std::int64_t> deadline_{kIdle};  // by that clock
};

}  // namespace minke::constrain
