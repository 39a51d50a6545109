#include "base/memory_nodes.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <numeric>
#include <string_view>

#include "base/cat.h"
#include "base/cpu_count.h"

namespace minke::base {
namespace {

/// "0-3,8,10-11" as the kernel writes it; what cannot be read ends it. More than 64 k processors are not believed.
std::vector<int> cpu_list(std::string_view text) {
  constexpr int kMost = 1 << 16;
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) break;
    int last = first;
    if (read.ptr < end && *read.ptr == '-') {
      read = std::from_chars(read.ptr + 1, end, last);
      if (read.ec != std::errc()) break;
    }
    if (first < 0 || last >= kMost) break;
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    at = read.ptr;
    if (at < end && *at == ',') ++at;
  }
  return cpus;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::size_t TeamPlan::threads() const noexcept {
  return std::accumulate(node_threads.begin(), node_threads.end(), std::size_t{0});
}

std::vector<std::vector<int>> memory_nodes(std::span<const int> cpus, const std::string& root) {
  const std::string folder = root + "/sys/devices/system/node/";
  std::vector<std::vector<int>> nodes;
  std::vector<int> rest(cpus.begin(), cpus.end());
  for (const int node : cpu_list(text_of(folder + "online"))) {
    std::vector<int> here;
    for (const int cpu : cpu_list(text_of(cat(folder, "node", node, "/cpulist")))) {
      const auto found = std::find(rest.begin(), rest.end(), cpu);
      if (found == rest.end()) continue;
      here.push_back(cpu);
      rest.erase(found);
    }
    // Nodes of memory alone have no processors.
    if (!here.empty()) nodes.push_back(std::move(here));
  }
  if (nodes.empty()) return {rest};
  nodes.front().insert(nodes.front().end(), rest.begin(), rest.end());
  return nodes;
}

TeamPlan plan_team(std::size_t threads, std::span<const std::vector<int>> nodes, const std::string& root) {
  threads = std::max<std::size_t>(threads, 1);
  if (nodes.size() < 2) return {.node_threads = {threads}, .node_cpus = {}};
  std::vector<std::size_t> cores;
  for (const auto& cpus : nodes) cores.push_back(physical_cores(cpus, root));
  const std::size_t all = std::accumulate(cores.begin(), cores.end(), std::size_t{0});
  TeamPlan plan;
  std::size_t before = 0, dealt = 0;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    before += cores[n];
    // Rounded on the running sum, so that the shares add up to `threads`.
    const std::size_t until = (threads * before + all / 2) / all;
    if (until == dealt) continue;
    plan.node_threads.push_back(until - dealt);
    plan.node_cpus.push_back(nodes[n]);
    dealt = until;
  }
  if (plan.nodes() < 2) plan.node_cpus.clear();
  return plan;
}

TeamPlan simulated_team(std::size_t threads, std::size_t nodes) {
  threads = std::max<std::size_t>(threads, 1);
  nodes = std::clamp<std::size_t>(nodes, 1, threads);
  TeamPlan plan;
  for (std::size_t n = 0; n < nodes; ++n) plan.node_threads.push_back(threads * (n + 1) / nodes - threads * n / nodes);
  return plan;
}

}  // namespace minke::base
