#include "base/fair_lock.h"

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace minke::base {
namespace {

TEST(FairLock, OneAtATime) {
  FairLock lock;
  int count = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const std::lock_guard guard(lock);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
}

/// Two that want it again at once, each as long as both do: they take turns.
TEST(FairLock, WhoWaitsComesNext) {
  FairLock lock;
  std::vector<int> order;  // guarded by lock
  const auto take = [&](int who) {
    for (int i = 0; i < 50; ++i) {
      const std::lock_guard guard(lock);
      order.push_back(who);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the other asks meanwhile
    }
  };
  std::thread one(take, 1), two(take, 2);
  one.join();
  two.join();
  int longest = 0, run = 0;
  const auto half = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
  for (auto at = order.begin() + 10; at != half; ++at) {
    run = *at == *(at - 1) ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  EXPECT_LE(longest, 3) << "a thread may be late by a few, not left out";
}

}  // namespace
}  // namespace minke::base
