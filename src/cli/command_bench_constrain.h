// minke bench constrain.
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace minke::cli {

CLI::App* add_bench_constrain_command(CLI::App& bench, Session& session);

}  // namespace minke::cli
