#include "base/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "base/cpu_count.h"
#include "base/error.h"
#include "base/signals_blocked.h"

namespace minke::base {
namespace {

/// How long a thread looks for work (or for the end of the others' work) before it sleeps. A decode step is
/// a chain of loops with a few microseconds between them, so the team stays awake throughout a step; waking
/// a sleeper costs about 5 to 50 us.
constexpr std::chrono::microseconds kSpinTime{50};
constexpr int kPausesPerClockRead = 32;
constexpr std::size_t kCacheLine = 64;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/// Spins until ready() or until the time is over; whether it became ready.
template <typename Ready>
bool spin_until(const Ready& ready, bool may_spin) noexcept {
  if (ready()) return true;
  if (!may_spin) return false;
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      pause();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

/// A refusal (a processor that went away, a container's rules) costs speed, not a result.
void keep_on(std::thread& thread, std::span<const int> cpus) noexcept {
  const int most = *std::max_element(cpus.begin(), cpus.end());
  const auto capacity = static_cast<std::size_t>(most) + 1;
  cpu_set_t* set = CPU_ALLOC(capacity);
  if (set == nullptr) return;
  const std::size_t bytes = CPU_ALLOC_SIZE(capacity);
  CPU_ZERO_S(bytes, set);
  for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), bytes, set);
  static_cast<void>(::pthread_setaffinity_np(thread.native_handle(), bytes, set));
  CPU_FREE(set);
}

}  // namespace

// One loop: run() writes task, count and every share's end, then opens the shares one by one by storing `unclaimed`.
// Whoever takes a share's `unclaimed` from k > 0 to k - 1 owns index end - k. `task`, `count` and `end` are read only
// by an owner, and run() does not return before every index is counted in `done`; so a thread that comes late, even
// while the next loop is being set up, either owns an index of the open loop or gets a number <= 0 and touches nothing.
//
// A thread begins with the share of its own number: no two threads meet on one counter until the first is through, and
// a thread's indices follow one another, as the memory behind them does. Then it takes what is left of the others',
// those of its own memory node first.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what threads write has cache lines of its own
struct ThreadPool::Shared {
  struct alignas(kCacheLine) Share {
    std::atomic<std::int64_t> unclaimed{0};
    std::int64_t end = 0;
    /// The threads of this one's memory node.
    std::size_t node_first = 0, node_end = 1;
  };
  std::unique_ptr<Share[]> shares;  // one per thread
  std::size_t team = 1;
  std::size_t nodes = 1;
  alignas(kCacheLine) std::atomic<std::uint64_t> done{0};
  /// Set by the caller when it goes to sleep; what it sleeps on, so that `done` needs no futex of its own width.
  alignas(kCacheLine) std::atomic<std::uint32_t> finished{0};
  /// Counts loops; what idle threads sleep on.
  alignas(kCacheLine) std::atomic<std::uint32_t> generation{0};
  std::atomic<bool> stop{false};
  const TaskRef* task = nullptr;
  std::uint64_t count = 0;
  bool may_spin = true;
  std::vector<std::thread> threads;

  void open(std::size_t indices, const TaskRef& run) noexcept {
    task = &run;
    count = indices;
    done.store(0, std::memory_order_relaxed);
    open_shares(0, team, 0, indices);
  }

  void open_by_node(std::size_t per_node, const TaskRef& run) noexcept {
    task = &run;
    count = nodes * per_node;
    done.store(0, std::memory_order_relaxed);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < team; i = shares[i].node_end, begin += per_node)
      open_shares(i, shares[i].node_end, begin, per_node);
  }

  /// Deals indices [begin, begin + indices) to the shares [first, last).
  void open_shares(std::size_t first, std::size_t last, std::size_t begin, std::size_t indices) noexcept {
    // Without overflow: indices * i might.
    const std::size_t each = indices / (last - first), more = indices % (last - first);
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t size = each + (i - first < more ? 1 : 0);
      begin += size;
      shares[i].end = static_cast<std::int64_t>(begin);
      shares[i].unclaimed.store(static_cast<std::int64_t>(size), std::memory_order_release);
    }
  }

  /// Runs whatever indices can be claimed, those of share `self` first; true if this call finished the loop.
  bool work(std::size_t self) noexcept {
    std::uint64_t mine = 0, total = 0;
    const std::size_t first = shares[self].node_first, last = shares[self].node_end;
    for (std::size_t i = self; i < last; ++i) take(shares[i], mine, total);
    for (std::size_t i = first; i < self; ++i) take(shares[i], mine, total);
    for (std::size_t i = last; i < team; ++i) take(shares[i], mine, total);
    for (std::size_t i = 0; i < first; ++i) take(shares[i], mine, total);
    return mine != 0 && done.fetch_add(mine, std::memory_order_acq_rel) + mine == total;
  }

  /// Runs what can be claimed of one share; counts it in `mine`, and leaves the loop's size in `total`.
  void take(Share& share, std::uint64_t& mine, std::uint64_t& total) noexcept {
    // Reading first leaves the counter's line shared once it is used up.
    while (share.unclaimed.load(std::memory_order_relaxed) > 0) {
      const std::int64_t left = share.unclaimed.fetch_sub(1, std::memory_order_acquire);
      if (left <= 0) break;
      total = count;
      (*task)(static_cast<std::size_t>(share.end - left));
      ++mine;
    }
  }

  /// Runs a loop whose shares are open, and waits for its end.
  void finish(std::uint32_t finished_before) noexcept {
    generation.fetch_add(1, std::memory_order_release);
    generation.notify_all();
    if (work(0)) return;
    // Another thread does the last index and then raises `finished`. Waiting for that, not just for `done`,
    // keeps the count of ends in step with the loops.
    const auto over = [&] { return finished.load(std::memory_order_acquire) != finished_before; };
    if (!spin_until(over, may_spin))
      while (!over()) finished.wait(finished_before, std::memory_order_acquire);
  }

  void serve(std::size_t self) noexcept {
    std::uint32_t seen = 0;
    for (;;) {
      const auto changed = [&] { return generation.load(std::memory_order_acquire) != seen; };
      if (!spin_until(changed, may_spin)) generation.wait(seen, std::memory_order_acquire);
      seen = generation.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      if (work(self)) {
        finished.fetch_add(1, std::memory_order_release);
        finished.notify_one();
      }
    }
  }

  void stop_all() noexcept {
    stop.store(true, std::memory_order_release);
    generation.fetch_add(1, std::memory_order_release);
    generation.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }
};

ThreadPool::ThreadPool(std::size_t threads)
    : ThreadPool(TeamPlan{.node_threads = {std::max<std::size_t>(threads, 1)}, .node_cpus = {}}) {}

ThreadPool::ThreadPool(const TeamPlan& team) : shared_(std::make_unique<Shared>()) {
  const std::size_t threads = team.threads(), others = threads - 1;
  // With more threads than processors, spinning would take the time of those that have work.
  shared_->may_spin = threads <= allowed_cpus().size();
  shared_->team = threads;
  shared_->nodes = team.nodes();
  shared_->shares = std::make_unique<Shared::Share[]>(threads);
  std::vector<std::size_t> node_of;
  for (std::size_t n = 0; n < team.nodes(); ++n) {
    const std::size_t first = node_of.size();
    node_of.resize(first + team.node_threads[n], n);
    for (std::size_t i = first; i < node_of.size(); ++i) {
      shared_->shares[i].node_first = first;
      shared_->shares[i].node_end = node_of.size();
    }
  }
  const SignalsBlocked blocked;
  try {
    shared_->threads.reserve(others);
    for (std::size_t i = 0; i < others; ++i) {
      shared_->threads.emplace_back([shared = shared_.get(), i] { shared->serve(i + 1); });
      pthread_setname_np(shared_->threads.back().native_handle(), "minke-worker");
      if (!team.node_cpus.empty()) keep_on(shared_->threads.back(), team.node_cpus[node_of[i + 1]]);
    }
  } catch (const std::system_error& error) {
    const std::size_t started = shared_->threads.size() + 1;
    shared_->stop_all();
    throw Error(ErrorCode::io, cat("cannot start thread ", started + 1, " of ", threads, ": ", error.what()),
                "ask for fewer threads");
  }
}

ThreadPool::~ThreadPool() { shared_->stop_all(); }

std::size_t ThreadPool::size() const noexcept { return shared_->team; }

std::size_t ThreadPool::nodes() const noexcept { return shared_->nodes; }

void ThreadPool::run(std::size_t count, TaskRef task) {
  Shared& shared = *shared_;
  if (count <= 1 || shared.threads.empty()) {
    for (std::size_t i = 0; i < count; ++i) task(i);
    return;
  }
  const std::uint32_t finished_before = shared.finished.load(std::memory_order_relaxed);
  shared.open(count, task);
  shared.finish(finished_before);
}

void ThreadPool::run_by_node(std::size_t per_node, TaskRef task) {
  Shared& shared = *shared_;
  if (shared.nodes == 1 || per_node == 0) return run(per_node, task);
  const std::uint32_t finished_before = shared.finished.load(std::memory_order_relaxed);
  shared.open_by_node(per_node, task);
  shared.finish(finished_before);
}

std::size_t default_thread_count() { return thread_count_for(allowed_cpus(), ""); }

}  // namespace minke::base
