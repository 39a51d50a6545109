#include "base/memory.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace minke::base {

namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// Where there is no /proc: free pages, without those that the page cache would give up.
std::uint64_t sysinfo_free() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return 0;
  return (std::uint64_t{info.freeram} + info.bufferram) * info.mem_unit;
}

std::uint64_t meminfo_available() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  std::uint64_t kilobytes = 0;
  while (file >> key >> kilobytes) {
    if (key == "MemAvailable:") return kilobytes * 1024;
    std::getline(file, unit);
  }
  return sysinfo_free();
}

/// cgroup v2 writes "no limit" as "max", v1 as a number near 2^63.
std::optional<std::uint64_t> read_limit(const std::string& path) {
  const auto limit = read_number(path);
  return limit && *limit < (std::uint64_t{1} << 60) ? limit : std::nullopt;
}

struct GroupFolder {
  std::string path;
  bool v2 = false;

  std::optional<std::uint64_t> limit() const {
    return read_limit(path + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  }
  std::uint64_t left() const {
    const auto most = limit();
    const auto usage = read_number(path + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
    if (!most || !usage) return kUnlimited;
    return *most > *usage ? *most - *usage : 0;
  }
};

/// Every level of the process's cgroup path.
std::vector<GroupFolder> group_folders() {
  std::vector<GroupFolder> folders;
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers.find("memory") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      folders.push_back({root + (path == "/" ? "" : path), v2});
      if (path.empty() || path.rfind('/') == std::string::npos) break;
    }
  }
  return folders;
}

}  // namespace

std::uint64_t available_memory() {
  const std::uint64_t machine = meminfo_available();
  std::uint64_t group = kUnlimited;
  for (const GroupFolder& folder : group_folders()) group = std::min(group, folder.left());
  return machine == 0 && group == kUnlimited ? 0 : std::min(machine == 0 ? kUnlimited : machine, group);
}

std::optional<std::uint64_t> cgroup_memory_limit() {
  std::optional<std::uint64_t> least;
  for (const GroupFolder& folder : group_folders()) {
    const auto limit = folder.limit();
    if (limit && (!least || *limit < *least)) least = limit;
  }
  return least;
}

}  // namespace minke::base
