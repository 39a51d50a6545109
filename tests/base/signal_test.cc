#include "base/signal.h"

#include <gtest/gtest.h>

#include <thread>

namespace minke::base {
namespace {

using namespace std::chrono_literals;

TEST(Signal, AWaitEndsByTime) {
  Signal signal;
  EXPECT_FALSE(signal.wait(signal.value(), 5ms));
  EXPECT_FALSE(signal.wait(signal.value(), 0ms));
}

TEST(Signal, AChangeBeforeTheWaitIsNotMissed) {
  Signal signal;
  const std::uint32_t seen = signal.value();
  signal.raise();
  EXPECT_TRUE(signal.wait(seen, 0ms));
}

TEST(Signal, TwoThreadsTakeTurnsAndMissNothing) {
  Signal ping, pong;
  constexpr std::uint32_t kTurns = 20000;
  std::thread other([&] {
    for (std::uint32_t i = 0; i < kTurns; ++i) {
      while (ping.value() == i) ping.wait(i, 10s);
      pong.raise();
    }
  });
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < kTurns; ++i) {
    ping.raise();
    while (pong.value() == i) pong.wait(i, 10s);
  }
  other.join();
  EXPECT_EQ(pong.value(), kTurns);
  // One missed wake would take 10 s.
  EXPECT_LT(std::chrono::steady_clock::now() - start, 9s);
}

}  // namespace
}  // namespace minke::base
