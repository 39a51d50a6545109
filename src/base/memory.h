// How much memory this process may still use.
#pragma once

#include <cstdint>
#include <optional>

namespace minke::base {

/// Bytes available without swapping: the kernel's MemAvailable, or what the process's cgroup (v1 or v2)
/// still allows if that is less. 0 when neither can be read.
std::uint64_t available_memory();

/// The least memory limit of the process's cgroup and those above it (v2 memory.max, v1 memory.limit_in_bytes);
/// nullopt without a limit.
std::optional<std::uint64_t> cgroup_memory_limit();

}  // namespace minke::base
