// Masks of constrained replies, computed beside the model's step.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <pthread.h>

#include "base/error.h"
#include "base/signal.h"
#include "engine/constraint.h"

namespace minke::engine {

class MaskWorker;

/// One reply's constraint and its next mask. The compute thread and a worker take turns: the latter has it from
/// MaskWorker::start() until the mask is there.
class MaskState {
 public:
  /// `beginning`: what the reply starts from; cloned by a worker. `vocab`: logits of a row.
  MaskState(std::shared_ptr<const TokenConstraint> beginning, std::size_t vocab);

  const std::shared_ptr<const TokenConstraint>& beginning() const noexcept { return beginning_; }
  std::size_t vocab() const noexcept { return vocab_; }
  /// Whether a mask is neither there nor on its way.
  bool stale() const noexcept { return phase_.load(std::memory_order_acquire) == Phase::stale; }
  bool ready() const noexcept { return phase_.load(std::memory_order_acquire) == Phase::ready; }
  /// The mask that is there; throws what went wrong.
  std::span<const std::uint32_t> mask() const;
  /// The reply went on with `token`: the mask is out of date.
  void accept(std::int32_t token);

 private:
  friend class MaskWorker;
  enum class Phase : std::uint8_t { stale, started, ready };
  void compute() noexcept;

  std::shared_ptr<const TokenConstraint> beginning_;
  std::size_t vocab_;
  std::unique_ptr<TokenConstraint> constraint_;
  std::vector<std::int32_t> accepted_;  // not yet told to the constraint
  std::vector<std::uint32_t> mask_;
  std::optional<base::Error> error_;
  bool quick_ = false;  // its last mask was
  std::atomic<Phase> phase_{Phase::stale};
};

/// Two threads, started with the first constrained reply: one takes masks as they come, the other those of replies
/// whose last mask took less than kQuick of processor time, so that a grammar that explodes does not hold them up. A
/// reply's first mask is of unknown cost, so that one thread alone clones beginnings. Stacks are large: grammars may be
/// deep.
class MaskWorker {
 public:
  static constexpr std::chrono::milliseconds kQuick{5};

  /// `done` is called on a worker's thread after each mask. Error(io) when the threads cannot be started.
  explicit MaskWorker(std::function<void()> done = {});
  ~MaskWorker();
  MaskWorker(const MaskWorker&) = delete;
  MaskWorker& operator=(const MaskWorker&) = delete;

  /// Begins a mask that is stale.
  void start(std::shared_ptr<MaskState> state);
  /// Whether the mask, begun now if need be, is there by `deadline`.
  bool wait(const std::shared_ptr<MaskState>& state, std::chrono::steady_clock::time_point deadline);

 private:
  enum class Lane : std::uint8_t { all, quick };
  struct Thread {
    MaskWorker* worker = nullptr;
    Lane lane = Lane::all;
    pthread_t id{};
  };
  void start_thread(Thread& thread);
  void stop_threads() noexcept;
  void run(Lane lane) noexcept;
  std::shared_ptr<MaskState> take(Lane lane) noexcept;

  std::function<void()> told_;
  std::array<Thread, 2> threads_;
  std::size_t started_ = 0;
  std::mutex mutex_;
  std::vector<std::shared_ptr<MaskState>> queue_;  // guarded by mutex_
  base::Signal filled_, done_;
  std::atomic<bool> stop_{false};
};

}  // namespace minke::engine
