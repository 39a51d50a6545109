// Which memory node (NUMA) each thread of a team belongs to. The root of the file system is a parameter so that tests
// can show it other machines.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace minke::base {

/// How a team of threads is spread over memory nodes; its threads are numbered node by node.
struct TeamPlan {
  std::vector<std::size_t> node_threads;  ///< of each node, none of them 0; at least one node
  /// The processors that the threads of each node stay on; empty: wherever the system puts them.
  std::vector<std::vector<int>> node_cpus;

  std::size_t threads() const noexcept;
  std::size_t nodes() const noexcept { return node_threads.size(); }
};

/// `cpus` by the memory node that they are next to (ROOT/sys/devices/system/node/nodeN/cpulist), in order of N; one
/// node with all of them where the system does not say.
std::vector<std::vector<int>> memory_nodes(std::span<const int> cpus, const std::string& root);

/// `threads` (at least 1) over the nodes in proportion to their physical cores, each kept on its node's processors.
/// A single node pins nothing.
TeamPlan plan_team(std::size_t threads, std::span<const std::vector<int>> nodes, const std::string& root);

/// Threads dealt evenly to `nodes` that do not exist: the division of work of such a machine, for tests and
/// measurements. As many nodes as threads at most.
TeamPlan simulated_team(std::size_t threads, std::size_t nodes);

}  // namespace minke::base
