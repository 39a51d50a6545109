// The manual page, minke(1).
#pragma once

#include <string>

#include "cli/command_tree.h"

namespace minke::cli {

/// In roff with the macros of man(7). `version`: "0.1.0".
std::string manual_page(const CommandInfo& program, const std::string& version);

}  // namespace minke::cli
