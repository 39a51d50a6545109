#include "server/wake_list.h"

#include <poll.h>

#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace minke::server {
namespace {

bool readable(const WakeList& list) {
  struct pollfd fd = {.fd = list.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&fd, 1, 0) == 1;
}

TEST(WakeList, ANodeIsWokenOncePerDrain) {
  WakeList list;
  int woken = 0;
  const auto node = std::make_shared<WakeList::Node>([&woken] { ++woken; });
  EXPECT_FALSE(readable(list));
  list.push(node);
  list.push(node);
  EXPECT_TRUE(readable(list));
  list.drain();
  EXPECT_EQ(woken, 1);
  EXPECT_FALSE(readable(list));
  list.push(node);
  list.drain();
  EXPECT_EQ(woken, 2);
}

TEST(WakeList, NodesLiveWhileTheyAreInTheList) {
  auto list = std::make_unique<WakeList>();
  auto node = std::make_shared<WakeList::Node>([] {});
  const std::weak_ptr<WakeList::Node> weak = node;
  list->push(node);
  node.reset();
  EXPECT_FALSE(weak.expired());
  list.reset();
  EXPECT_TRUE(weak.expired());
}

TEST(WakeList, NoPushIsLost) {
  constexpr int kThreads = 4, kRounds = 20000;
  WakeList list;
  std::vector<std::atomic<int>> written(kThreads);
  std::vector<int> seen(kThreads, 0);
  std::vector<std::shared_ptr<WakeList::Node>> nodes;
  for (std::size_t i = 0; i < kThreads; ++i) {
    nodes.push_back(std::make_shared<WakeList::Node>([&, i] { seen[i] = written[i].load(); }));
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 1; round <= kRounds; ++round) {
        written[i].store(round);
        list.push(nodes[i]);
      }
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (seen != std::vector<int>(kThreads, kRounds) && std::chrono::steady_clock::now() < deadline) {
    struct pollfd fd = {.fd = list.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&fd, 1, 100) == 1) list.drain();
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen, std::vector<int>(kThreads, kRounds));
}

}  // namespace
}  // namespace minke::server
