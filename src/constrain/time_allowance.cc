#include "constrain/time_allowance.h"

#include <algorithm>
#include <utility>

#include "base/signals_blocked.h"

namespace minke::constrain {
namespace {

constexpr std::chrono::milliseconds kPeriod{20};

std::int64_t read(clockid_t clock) noexcept {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return 0;
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

TimeKeeper::~TimeKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void TimeKeeper::add(TimeAllowance& allowance) {
  {
    const std::lock_guard lock(mutex_);
    allowances_.push_back(&allowance);
    if (!thread_.joinable()) {
      const base::SignalsBlocked blocked;
      thread_ = std::thread([this] { watch(); });
    }
  }
  changed_.notify_all();
}

void TimeKeeper::remove(const TimeAllowance& allowance) {
  const std::lock_guard lock(mutex_);
  std::erase(allowances_, &allowance);
}

void TimeKeeper::watch() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    for (const TimeAllowance* allowance : allowances_) allowance->check();
    if (allowances_.empty()) {
      changed_.wait(lock, [this] { return stop_ || !allowances_.empty(); });
    } else {
      changed_.wait_for(lock, kPeriod, [this] { return stop_; });
    }
  }
}

TimeAllowance::TimeAllowance(std::shared_ptr<TimeKeeper> keeper, const Rates& rates, std::function<void()> cancel)
    : keeper_(std::move(keeper)),
      most_(rates.first.count()),
      each_(rates.each.count()),
      left_(rates.first.count()),
      cancel_(std::move(cancel)) {
  keeper_->add(*this);
}

TimeAllowance::~TimeAllowance() { keeper_->remove(*this); }

void TimeAllowance::earn() noexcept { left_ = std::min(most_, left_ + each_); }

void TimeAllowance::check() const {
  const std::int64_t deadline = deadline_.load(std::memory_order_acquire);
  if (deadline != kIdle && read(clock_.load(std::memory_order_relaxed)) >= deadline) cancel_();
}

TimeAllowance::Spending::Spending(TimeAllowance& allowance) noexcept
    : allowance_(allowance), began_(read(CLOCK_THREAD_CPUTIME_ID)) {
  clockid_t clock{};
  if (pthread_getcpuclockid(pthread_self(), &clock) != 0) return;
  allowance_.clock_.store(clock, std::memory_order_relaxed);
  allowance_.deadline_.store(began_ + std::max<std::int64_t>(allowance_.left_, 0), std::memory_order_release);
}

TimeAllowance::Spending::~Spending() {
  allowance_.deadline_.store(kIdle, std::memory_order_release);
  allowance_.left_ -= read(CLOCK_THREAD_CPUTIME_ID) - began_;
}

}  // namespace minke::constrain
