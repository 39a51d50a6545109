#include "engine/watchdog.h"

#include <algorithm>
#include <chrono>

#include "base/signals_blocked.h"

namespace minke::engine {
namespace {

std::int64_t now() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Watchdog::Watchdog(double stuck_seconds, std::function<void(double)> on_stuck)
    : stuck_seconds_(stuck_seconds), on_stuck_(std::move(on_stuck)), ended_(now()) {
  if (!on_stuck_) return;
  const base::SignalsBlocked blocked;
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Watchdog::begin() noexcept { began_.store(now(), std::memory_order_release); }

void Watchdog::finished() noexcept {
  ended_.store(now(), std::memory_order_relaxed);
  steps_.fetch_add(1, std::memory_order_relaxed);
}

void Watchdog::end() noexcept { began_.store(0, std::memory_order_release); }

Watchdog::Reading Watchdog::read() const noexcept {
  const std::int64_t time = now(), began = began_.load(std::memory_order_acquire);
  const auto seconds = [time](std::int64_t since) {
    return static_cast<double>(std::max<std::int64_t>(0, time - since)) * 1e-9;
  };
  Reading reading;
  reading.steps = steps_.load(std::memory_order_relaxed);
  reading.age = seconds(ended_.load(std::memory_order_relaxed));
  reading.running = began == 0 ? 0 : seconds(began);
  reading.stuck = reading.running > stuck_seconds_;
  return reading;
}

void Watchdog::watch() {
  std::uint64_t told = ~std::uint64_t{0};  // the step that was spoken of
  const auto pause = std::chrono::duration<double>(std::clamp(stuck_seconds_ / 4, 0.01, 1.0));
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_.wait_for(lock, pause);
    const Reading reading = read();
    if (stop_ || !reading.stuck || reading.steps == told) continue;
    told = reading.steps;
    lock.unlock();
    on_stuck_(reading.running);
    lock.lock();
  }
}

}  // namespace minke::engine
