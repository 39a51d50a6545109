// What the system says of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minke::cli {

/// The value of the first line "KEY : VALUE" of a file such as /proc/cpuinfo; empty when there is none.
std::string proc_value(const std::string& path, std::string_view key);

/// The processor's name, or "unknown".
std::string processor_name();

/// A line of /proc/meminfo in bytes.
std::optional<std::uint64_t> memory_bytes(std::string_view key);

}  // namespace minke::cli
