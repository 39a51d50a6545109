// A fixed team of threads for data-parallel loops: no queue, no allocation, no mutex per loop.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "base/memory_nodes.h"

namespace minke::base {

/// A borrowed callable `void(std::size_t index)`: two words, no allocation. It must outlive the call.
class TaskRef {
 public:
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, TaskRef>)
  TaskRef(const F& f)  // NOLINT(google-explicit-constructor): meant for lambdas at the call
      : object_(&f), call_([](const void* object, std::size_t index) { (*static_cast<const F*>(object))(index); }) {}

  void operator()(std::size_t index) const { call_(object_, index); }

 private:
  const void* object_;
  void (*call_)(const void*, std::size_t);
};

/// `size()` threads, the caller among them. `run(n, task)` calls task(0) ... task(n-1), each once, in any
/// order on any thread, and returns when all are done. Which thread runs which index never changes a
/// result: tasks write disjoint outputs and no reduction crosses tasks. Tasks must not throw.
/// Not re-entrant; one thread at a time may call run().
class ThreadPool {
 public:
  explicit ThreadPool(std::size_t threads);
  /// Threads that belong to memory nodes, and stay on their processors where the plan names some; the calling thread
  /// counts to the first node and is left where it is.
  explicit ThreadPool(const TeamPlan& team);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t size() const noexcept;
  /// Memory nodes of the team, at least 1.
  std::size_t nodes() const noexcept;
  void run(std::size_t count, TaskRef task);
  /// As run(nodes() * per_node, task); indices [n * per_node, (n + 1) * per_node) go to the threads of node n first,
  /// and to others only once those have no work of their own node left. Memory that a loop cut like this wrote first
  /// lies where a later loop, cut like this, reads it.
  void run_by_node(std::size_t per_node, TaskRef task);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

/// The number of threads to use by default: the least of physical cores, CPU affinity and the cgroup
/// quota rounded down, at least 1.
std::size_t default_thread_count();

}  // namespace minke::base
