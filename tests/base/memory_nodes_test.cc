#include "base/memory_nodes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/cpu_count.h"
#include "base/thread_pool.h"
#include "support/temp_folder.h"

namespace minke::base {
namespace {

std::vector<int> cpus(int first, int last) {
  std::vector<int> result(static_cast<std::size_t>(last - first));
  std::iota(result.begin(), result.end(), first);
  return result;
}

/// A file system root with just the files that matter.
class MemoryNodesTest : public testing::Test {
 protected:
  void node(int number, const std::string& list) const {
    folder_.write("/sys/devices/system/node/node" + std::to_string(number) + "/cpulist", list + "\n");
  }
  void online(const std::string& list) const { folder_.write("/sys/devices/system/node/online", list + "\n"); }

  test::TempFolder folder_;
  std::string root_ = folder_.path();
};

TEST_F(MemoryNodesTest, ProcessorsGoToTheirNodes) {
  online("0-1,3");
  node(0, "0-3,8-11");
  node(1, "4-7,12-15");
  node(3, "");  // memory without processors
  const auto nodes = memory_nodes(cpus(0, 16), root_);
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0], (std::vector<int>{0, 1, 2, 3, 8, 9, 10, 11}));
  EXPECT_EQ(nodes[1], (std::vector<int>{4, 5, 6, 7, 12, 13, 14, 15}));
}

TEST_F(MemoryNodesTest, OnlyAllowedProcessorsCount) {
  online("0-1");
  node(0, "0-3");
  node(1, "4-7");
  const auto nodes = memory_nodes(cpus(4, 6), root_);
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0], (std::vector<int>{4, 5}));
}

TEST_F(MemoryNodesTest, AMachineThatDoesNotSayIsOneNode) {
  EXPECT_EQ(memory_nodes(cpus(0, 3), root_), (std::vector<std::vector<int>>{{0, 1, 2}}));
  for (const char* list : {"", "x", "-1", "0-", "0-99999999999", "5-2", "0,,1"}) {
    online(list);
    node(0, list);
    std::vector<int> all;
    for (const auto& node : memory_nodes(cpus(0, 3), root_)) all.insert(all.end(), node.begin(), node.end());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, cpus(0, 3)) << list;
  }
}

TEST_F(MemoryNodesTest, ThreadsAreDealtByCores) {
  const std::vector<std::vector<int>> uneven{cpus(0, 6), cpus(6, 8)};
  const TeamPlan plan = plan_team(4, uneven, root_);
  EXPECT_EQ(plan.node_threads, (std::vector<std::size_t>{3, 1}));
  EXPECT_EQ(plan.node_cpus, uneven);
  EXPECT_EQ(plan.threads(), 4u);
}

TEST_F(MemoryNodesTest, FewerThreadsThanNodesLeaveNodesOut) {
  const std::vector<std::vector<int>> four{cpus(0, 2), cpus(2, 4), cpus(4, 6), cpus(6, 8)};
  for (std::size_t threads = 1; threads <= 9; ++threads) {
    const TeamPlan plan = plan_team(threads, four, root_);
    EXPECT_EQ(plan.threads(), threads);
    for (const std::size_t here : plan.node_threads) EXPECT_GT(here, 0u);
    EXPECT_EQ(plan.node_cpus.size(), plan.nodes() > 1 ? plan.nodes() : 0u);
  }
}

TEST_F(MemoryNodesTest, OneNodePinsNothing) {
  const TeamPlan plan = plan_team(3, std::vector<std::vector<int>>{cpus(0, 4)}, root_);
  EXPECT_EQ(plan.node_threads, std::vector<std::size_t>{3});
  EXPECT_TRUE(plan.node_cpus.empty());
}

TEST(SimulatedTeam, DealsEvenly) {
  EXPECT_EQ(simulated_team(5, 2).node_threads, (std::vector<std::size_t>{2, 3}));
  EXPECT_EQ(simulated_team(2, 8).node_threads, (std::vector<std::size_t>{1, 1}));
  EXPECT_EQ(simulated_team(0, 0).node_threads, std::vector<std::size_t>{1});
}

TEST(RunByNode, EveryIndexRunsOnce) {
  for (const std::size_t threads : {1u, 2u, 3u, 5u, 8u})
    for (const std::size_t nodes : {1u, 2u, 3u, 4u}) {
      ThreadPool pool(simulated_team(threads, nodes));
      EXPECT_EQ(pool.size(), threads);
      EXPECT_EQ(pool.nodes(), std::min(nodes, threads));
      for (const std::size_t per_node : {0u, 1u, 2u, 7u, 100u}) {
        std::vector<int> hits(pool.nodes() * per_node, 0);  // plain ints: a race would be seen by the thread sanitizer
        pool.run_by_node(per_node, [&](std::size_t i) { ++hits[i]; });
        EXPECT_EQ(hits, std::vector<int>(pool.nodes() * per_node, 1));
        std::vector<int> others(per_node, 0);
        pool.run(per_node, [&](std::size_t i) { ++others[i]; });
        EXPECT_EQ(others, std::vector<int>(per_node, 1));
      }
    }
}

TEST(RunByNode, AThreadBeginsWithItsNodesWork) {
  // Both threads have begun before either may go on, so neither can have taken the other's first index.
  ThreadPool pool(simulated_team(2, 2));
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> begun{0};
    std::vector<std::thread::id> ran(2 * 10);
    pool.run_by_node(10, [&](std::size_t i) {
      ran[i] = std::this_thread::get_id();
      if (i % 10 != 0) return;
      begun.fetch_add(1);
      while (begun.load() < 2) std::this_thread::yield();
    });
    EXPECT_EQ(ran[0], std::this_thread::get_id());
    EXPECT_NE(ran[10], std::this_thread::get_id());
  }
}

TEST(RunByNode, ThreadsStayOnTheirNodesProcessors) {
  const std::vector<int> allowed = allowed_cpus();
  // Pinning needs two processors to tell apart; a smaller machine has nothing to keep anyone from.
  if (allowed.size() < 2) GTEST_SKIP() << "one processor";
  ThreadPool pool(TeamPlan{.node_threads = {1, 1}, .node_cpus = {{allowed[0]}, {allowed[1]}}});
  std::vector<std::vector<int>> of_index(2);
  std::atomic<int> begun{0};
  pool.run_by_node(1, [&](std::size_t i) {
    of_index[i] = allowed_cpus();
    begun.fetch_add(1);
    while (begun.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(of_index[0], allowed);  // the caller is left where it was
  EXPECT_EQ(of_index[1], std::vector<int>{allowed[1]});
}

}  // namespace
}  // namespace minke::base
