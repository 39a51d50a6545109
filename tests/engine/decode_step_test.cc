// A decode step asks the system for nothing: no allocation and no mutex once a reply has begun. The C library's own
// entry points are replaced for this program, so that whatever calls them is counted, on every thread.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "engine/engine.h"
#include "support/golden.h"

// Sanitizers replace the same functions.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MINKE_COUNTS_CALLS 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define MINKE_COUNTS_CALLS 0
#endif
#ifndef MINKE_COUNTS_CALLS
#define MINKE_COUNTS_CALLS 1
#endif

#if MINKE_COUNTS_CALLS

#include <dlfcn.h>
#include <pthread.h>

namespace {
std::atomic<bool> counting{false};
std::atomic<int> allocations{0}, locks{0};
/// What this thread does is no part of a step.
thread_local bool submitting = false;

void count(std::atomic<int>& calls) {
  if (counting.load(std::memory_order_relaxed) && !submitting) calls.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

extern "C" {
// The names under which the GNU C library keeps its own.
void* __libc_malloc(std::size_t size);                           // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* block, std::size_t size);             // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT(bugprone-reserved-identifier)

void* malloc(std::size_t size) noexcept {
  count(allocations);
  return __libc_malloc(size);
}
void* calloc(std::size_t items, std::size_t size) noexcept {
  count(allocations);
  return __libc_calloc(items, size);
}
void* realloc(void* block, std::size_t size) noexcept {
  count(allocations);
  return __libc_realloc(block, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  count(allocations);
  return __libc_memalign(alignment, size);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static const Lock next = reinterpret_cast<Lock>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  count(locks);
  return next(mutex);
}
}

namespace minke::engine {
namespace {

TEST(DecodeStep, TheCountersCount) {
  std::mutex mutex;
  counting = true;
  allocations = 0;
  locks = 0;
  const std::vector<int> one(1000);
  mutex.lock();
  mutex.unlock();
  counting = false;
  EXPECT_EQ(allocations.load(), 1);
  EXPECT_EQ(locks.load(), 1);
  EXPECT_EQ(one[999], 0);
}

class DecodeStep : public testing::TestWithParam<std::string> {};

TEST_P(DecodeStep, AllocatesNothingAndLocksNothing) {
  const std::string folder = test::tiny_folder(GetParam());
  const auto checkpoint = formats::Checkpoint::open(folder);
  const std::vector<std::int32_t> prompt = test::read_ids(folder + "/ids.json");
  const SamplingParams samplings[] = {
      {.temperature = 0},
      {.temperature = 0.8},
      {.temperature = 0.8, .top_k = 20, .top_p = 0.9, .seed = 3},
      {.temperature = 1, .top_p = 0.9, .min_p = 0.05, .repeat_penalty = 1.1, .seed = 3}};
  for (const auto& [threads, speculate] : {std::pair{1, false}, {3, false}, {1, true}}) {
    std::atomic<int> steps{0};  // outlives the engine, which may still tell
    Engine engine(*checkpoint, {.threads = static_cast<std::size_t>(threads),
                                .context = 1024,
                                .speculate = speculate ? Speculate::automatic : Speculate::off});
    // With guesses, a step may give 32 tokens.
    const std::size_t most = speculate ? 300 : 100;
    const int counted = speculate ? 9 : 90;
    for (const SamplingParams& sampling : samplings) {
      // Called on the compute thread after each step: what is counted is whole steps, from the second token on, past
      // at least one new block of the cache.
      steps = 0;
      const auto on_step = [&] {
        const int step = ++steps;
        counting = step >= 3 && step < counted;
      };
      allocations = 0;
      locks = 0;
      Request request;
      request.tokens = prompt;
      // Something to guess from.
      for (int i = 0; speculate && i < 2; ++i)
        request.tokens.insert(request.tokens.end(), prompt.begin(), prompt.end());
      request.sampling = sampling;
      request.max_tokens = most;
      // On a busy machine steps begin before it returns.
      submitting = true;
      Reply reply = engine.submit(request, on_step);
      submitting = false;
      std::size_t tokens = 0;
      while (!reply.finished()) {
        const auto event = reply.wait(std::chrono::seconds(60));
        ASSERT_TRUE(event);
        tokens += std::holds_alternative<TokenDrawn>(*event) ? 1 : 0;
      }
      counting = false;
      EXPECT_EQ(tokens, most);
      EXPECT_GE(steps.load(), counted);  // the last ones may still be told
      EXPECT_EQ(allocations.load(), 0) << threads << " threads";
      EXPECT_EQ(locks.load(), 0) << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DecodeStep,
                         testing::Values("llama", "qwen3", "qwen3_moe", "deepseek_v2_lite", "deepseek_v3"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace minke::engine

#endif
