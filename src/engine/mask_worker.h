// Masks of constrained replies, computed beside the model's step.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
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

/// One reply's constraint and its next mask. The compute thread and the worker take turns: the latter has it from
/// MaskWorker::start() until the mask is there.
class MaskState {
 public:
  /// `beginning`: what the reply starts from; cloned by the worker. `vocab`: logits of a row.
  MaskState(std::shared_ptr<const TokenConstraint> beginning, std::size_t vocab);

  const std::shared_ptr<const TokenConstraint>& beginning() const noexcept { return beginning_; }
  std::size_t vocab() const noexcept { return vocab_; }
  /// Whether a mask is neither there nor on its way.
  bool stale() const noexcept { return phase_.load(std::memory_order_acquire) == Phase::stale; }
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
  std::atomic<Phase> phase_{Phase::stale};
};

/// One thread, started with the first constrained reply. Its stack is large: grammars may be deep.
class MaskWorker {
 public:
  /// Error(io) when the thread cannot be started.
  MaskWorker();
  ~MaskWorker();
  MaskWorker(const MaskWorker&) = delete;
  MaskWorker& operator=(const MaskWorker&) = delete;

  /// Begins a mask that is stale.
  void start(std::shared_ptr<MaskState> state);
  /// Until the mask is there, begun now if need be; throws what went wrong.
  std::span<const std::uint32_t> wait(const std::shared_ptr<MaskState>& state);

 private:
  void run() noexcept;

  pthread_t thread_{};
  std::mutex mutex_;
  std::vector<std::shared_ptr<MaskState>> queue_;  // guarded by mutex_
  base::Signal filled_, done_;
  std::atomic<bool> stop_{false};
};

}  // namespace minke::engine
