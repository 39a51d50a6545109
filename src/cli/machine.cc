#include "cli/machine.h"

#include <charconv>
#include <fstream>

#include "cli/arm_processor.h"

namespace minke::cli {

std::string proc_value(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || line.find_first_not_of(" \t", key.size()) != colon) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? std::string() : line.substr(start);
  }
  return {};
}

std::string processor_name(const std::string& cpuinfo) {
  std::string name = proc_value(cpuinfo, "model name");
  if (name.empty()) name = arm_processor_name(cpuinfo);
  return name.empty() ? "unknown" : name;
}

std::optional<std::uint64_t> memory_bytes(std::string_view key) {
  // Values are "12345 kB", meaning KiB.
  const std::string value = proc_value("/proc/meminfo", key);
  std::uint64_t kib = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), kib);
  if (error != std::errc() || kib > UINT64_MAX / 1024) return std::nullopt;
  return kib * 1024;
}

}  // namespace minke::cli
