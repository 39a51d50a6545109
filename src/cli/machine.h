// What the system says of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minke::cli {

/// The value of the first line "KEY : VALUE" of a file such as /proc/cpuinfo; empty when there is none.
std::string proc_value(const std::string& path, std::string_view key);

/// The processor's name, or "unknown": "model name" of /proc/cpuinfo; on Arm, where there is none, the names of the
/// cores' implementers and parts. `cpuinfo`: another file of that form.
std::string processor_name(const std::string& cpuinfo = "/proc/cpuinfo");

/// A line of /proc/meminfo in bytes.
std::optional<std::uint64_t> memory_bytes(std::string_view key);

}  // namespace minke::cli
