// `minke doctor --report`: what a report of a bug should hold, and nothing that should stay private.
#pragma once

#include <string>

#include "cli/environment.h"
#include "cli/machine_report.h"

namespace minke::cli {

/// Markdown. Model names are left out (they may be private), the home folder is written "~", and of variables that
/// may hold secrets only the name is told.
std::string bug_report(const MachineReport& machine, const Environment& environment);

}  // namespace minke::cli
