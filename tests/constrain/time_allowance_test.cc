// Work that takes more than its share is cancelled, and only that.
#include "constrain/time_allowance.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

namespace minke::constrain {
namespace {

using std::chrono::milliseconds;

std::int64_t processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Until `stop`, or so much processor time has gone by.
void compute(milliseconds time, const std::atomic<bool>& stop) {
  const std::int64_t end = processor_time() + std::chrono::nanoseconds(time).count();
  while (!stop.load(std::memory_order_relaxed) && processor_time() < end) {
  }
}

struct Case {
  explicit Case(milliseconds first, milliseconds each = milliseconds(0), std::shared_ptr<TimeKeeper> keeper = nullptr)
      : allowance(keeper ? std::move(keeper) : std::make_shared<TimeKeeper>(), {.first = first, .each = each},
                  [this] { cancelled = true; }) {}
  void work(milliseconds time) {
    const TimeAllowance::Spending spending(allowance);
    compute(time, cancelled);
  }
  std::atomic<bool> cancelled{false};
  TimeAllowance allowance;
};

TEST(TimeAllowance, WhatTakesLongerIsCancelled) {
  Case one(milliseconds(30));
  const auto start = std::chrono::steady_clock::now();
  one.work(milliseconds(60'000));
  EXPECT_TRUE(one.cancelled);
  EXPECT_TRUE(one.allowance.used_up());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(TimeAllowance, PiecesAddUp) {
  Case one(milliseconds(50));
  for (int i = 0; i < 5; ++i) one.work(milliseconds(1));
  EXPECT_FALSE(one.cancelled);
  EXPECT_FALSE(one.allowance.used_up());
  one.work(milliseconds(48));
  EXPECT_TRUE(one.allowance.used_up());
}

TEST(TimeAllowance, TokensEarnMoreUpToTheFirstShare) {
  Case one(milliseconds(40), milliseconds(30));
  for (int i = 0; i < 10; ++i) one.allowance.earn();
  one.work(milliseconds(41));
  EXPECT_TRUE(one.allowance.used_up());
  one.allowance.earn();
  EXPECT_FALSE(one.allowance.used_up());
}

TEST(TimeAllowance, OthersAreLeftAlone) {
  const auto keeper = std::make_shared<TimeKeeper>();
  Case idle(milliseconds(20), milliseconds(0), keeper);
  Case busy(milliseconds(60'000), milliseconds(0), keeper);
  Case slow(milliseconds(20), milliseconds(0), keeper);
  slow.work(milliseconds(60'000));
  EXPECT_TRUE(slow.cancelled);
  busy.work(milliseconds(60));
  EXPECT_FALSE(busy.cancelled);
  EXPECT_FALSE(idle.cancelled);
}

}  // namespace
}  // namespace minke::constrain
