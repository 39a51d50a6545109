// What this program is and how it was built.
#pragma once

#include <cstdint>
#include <string>

namespace minke::cli {

/// Lines for --version: what the program is, then what is built into it.
std::string version_text();
std::string program_text();
/// The library of constrained output and its version, or that there is none.
std::string constrained_text();

std::string version_number();  ///< "0.1.0"

/// The commit that was built, shortened, and how many there were before; "unknown" and 0 outside a git checkout.
std::string build_commit();
std::int64_t build_number();

}  // namespace minke::cli
