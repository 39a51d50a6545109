#include "engine/mask_worker.h"

#include <cerrno>
#include <exception>
#include <utility>

#include "base/signals_blocked.h"

namespace minke::engine {
namespace {

// Reserved, not taken: only what is used costs memory.
constexpr std::size_t kStackBytes = std::size_t{64} << 20;

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
}

MaskWorker::MaskWorker() {
  const base::SignalsBlocked blocked;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const auto entry = [](void* self) -> void* {
    static_cast<MaskWorker*>(self)->run();
    return nullptr;
  };
  const int failed = pthread_create(&thread_, &attributes, entry, this);
  pthread_attr_destroy(&attributes);
  if (failed != 0) throw base::io_error("constrained output", "start a thread", failed);
  pthread_setname_np(thread_, "minke-masks");
}

MaskWorker::~MaskWorker() {
  stop_.store(true, std::memory_order_release);
  filled_.raise();
  pthread_join(thread_, nullptr);
}

void MaskWorker::start(std::shared_ptr<MaskState> state) {
  state->phase_.store(MaskState::Phase::started, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(state));
  }
  filled_.raise();
}

std::span<const std::uint32_t> MaskWorker::wait(const std::shared_ptr<MaskState>& state) {
  if (state->stale()) start(state);
  for (;;) {
    const std::uint32_t seen = done_.value();
    if (state->phase_.load(std::memory_order_acquire) == MaskState::Phase::ready) return state->mask();
    done_.wait(seen, std::chrono::seconds(1));
  }
}

void MaskWorker::run() noexcept {
  std::vector<std::shared_ptr<MaskState>> work;
  while (!stop_.load(std::memory_order_acquire)) {
    const std::uint32_t seen = filled_.value();
    {
      const std::lock_guard lock(mutex_);
      work.swap(queue_);
    }
    if (work.empty()) filled_.wait(seen, std::chrono::seconds(1));
    for (const auto& state : work) {
      state->compute();
      state->phase_.store(MaskState::Phase::ready, std::memory_order_release);
      done_.raise();
    }
    work.clear();
  }
}

}  // namespace minke::engine
