// What `minke doctor` tells of the machine: gathered here, printed by command_doctor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_limits.h"
#include "hub/model_store.h"
#include "kernels/isa.h"

namespace minke::cli {

/// Why so many threads: the least of these counts.
struct ThreadReason {
  std::size_t threads = 1;
  std::size_t machine_cpus = 0;    ///< hardware threads that are online
  std::size_t allowed_cpus = 0;    ///< by CPU affinity
  std::size_t physical_cores = 0;  ///< among the allowed
  std::optional<double> quota;     ///< of the cgroup, in processors

  /// "2: every physical core", "1: the cgroup's quota of 1.5, rounded down".
  std::string text() const;
};

struct CodecPath {
  std::string type;
  std::string fast, exact;
};

struct MachineReport {
  std::string processor;
  std::vector<std::string> isas;
  kernels::Isa chosen = kernels::Isa::scalar;
  std::string kernels;  ///< name of the chosen table
  ThreadReason threads;
  std::size_t numa_nodes = 1;
  std::string huge_pages;                                               ///< "madvise", "always", "never", or "unknown"
  std::uint64_t reserved_huge_pages = 0;                                ///< of hugetlbfs; not used here
  std::optional<std::uint64_t> memory, memory_available, memory_limit;  ///< the limit is the cgroup's
  Limits one_thread, all_threads;
  std::vector<CodecPath> codecs;
};

/// Measures for about a second.
MachineReport examine_machine();

std::string machine_text(const MachineReport& report);
std::string machine_json(const MachineReport& report);

}  // namespace minke::cli
