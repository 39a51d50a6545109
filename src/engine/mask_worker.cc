#include "engine/mask_worker.h"

#include <algorithm>
#include <ctime>
#include <exception>
#include <utility>

#include "base/signals_blocked.h"

namespace minke::engine {
namespace {

// Reserved, not taken: only what is used costs memory.
constexpr std::size_t kStackBytes = std::size_t{64} << 20;

/// Of the calling thread's processor: a busy machine makes no mask slow.
std::chrono::nanoseconds thread_time() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

MaskState::MaskState(std::shared_ptr<const TokenConstraint> beginning, std::size_t vocab)
    : beginning_(std::move(beginning)), vocab_(vocab), mask_((vocab + 31) / 32) {}

std::span<const std::uint32_t> MaskState::mask() const {
  if (error_) throw *error_;  // NOLINT(cert-err09-cpp,cert-err61-cpp): a copy, by value
  return mask_;
}

void MaskState::accept(std::int32_t token) {
  accepted_.push_back(token);
  phase_.store(Phase::stale, std::memory_order_release);
}

void MaskState::compute() noexcept {
  const std::chrono::nanoseconds start = thread_time();
  try {
    if (!constraint_) constraint_ = beginning_->clone();
    for (const std::int32_t token : accepted_) constraint_->accept(token);
    accepted_.clear();
    constraint_->mask(mask_);
  } catch (const base::Error& error) {
    error_ = error;
  } catch (const std::exception& error) {
    error_.emplace(base::ErrorCode::out_of_memory, base::cat("a constraint's mask failed: ", error.what()));
  }
  quick_ = thread_time() - start < MaskWorker::kQuick;
}

MaskWorker::MaskWorker(std::function<void()> done) : told_(std::move(done)) {
  threads_[0].lane = Lane::all;
  threads_[1].lane = Lane::quick;
  try {
    for (Thread& thread : threads_) start_thread(thread);
  } catch (...) {
    stop_threads();
    throw;
  }
}

MaskWorker::~MaskWorker() { stop_threads(); }

void MaskWorker::start_thread(Thread& thread) {
  const base::SignalsBlocked blocked;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const auto entry = [](void* self) -> void* {
    const Thread& one = *static_cast<Thread*>(self);
    one.worker->run(one.lane);
    return nullptr;
  };
  thread.worker = this;
  const int failed = pthread_create(&thread.id, &attributes, entry, &thread);
  pthread_attr_destroy(&attributes);
  if (failed != 0) throw base::io_error("constrained output", "start a thread", failed);
  ++started_;
  pthread_setname_np(thread.id, "minke-masks");
}

void MaskWorker::stop_threads() noexcept {
  stop_.store(true, std::memory_order_release);
  filled_.raise();
  for (std::size_t i = 0; i < started_; ++i) pthread_join(threads_[i].id, nullptr);
}

void MaskWorker::start(std::shared_ptr<MaskState> state) {
  {
    const std::lock_guard lock(mutex_);
    MaskState& begun = *state;
    queue_.push_back(std::move(state));
    // After what may throw; no worker has seen it yet.
    begun.phase_.store(MaskState::Phase::started, std::memory_order_relaxed);
  }
  filled_.raise();
}

bool MaskWorker::wait(const std::shared_ptr<MaskState>& state, std::chrono::steady_clock::time_point deadline) {
  if (state->stale()) start(state);
  for (;;) {
    const std::uint32_t seen = done_.value();
    if (state->ready()) return true;
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds::zero()) return false;
    done_.wait(seen, left);
  }
}

/// The first in the queue that `lane` takes; null: none.
std::shared_ptr<MaskState> MaskWorker::take(Lane lane) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [lane](const auto& state) { return lane == Lane::all || state->quick_; });
  if (found == queue_.end()) return nullptr;
  std::shared_ptr<MaskState> state = std::move(*found);
  queue_.erase(found);
  return state;
}

void MaskWorker::run(Lane lane) noexcept {
  while (!stop_.load(std::memory_order_acquire)) {
    const std::uint32_t seen = filled_.value();
    const std::shared_ptr<MaskState> state = take(lane);
    if (!state) {
      filled_.wait(seen, std::chrono::seconds(1));
      continue;
    }
    state->compute();
    state->phase_.store(MaskState::Phase::ready, std::memory_order_release);
    done_.raise();
    if (told_) told_();
  }
}

}  // namespace minke::engine
