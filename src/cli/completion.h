// Scripts that complete the program's command lines in shells.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"

namespace minke::cli {

/// "bash", "zsh", "fish".
const std::vector<std::string>& completion_shells();

/// The script for one of them: commands, flags, the values that a flag has, models of the store, files.
std::string completion_script(const CommandInfo& program, std::string_view shell);

}  // namespace minke::cli
