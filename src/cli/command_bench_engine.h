// minke bench engine, a command below minke bench.
#pragma once

#include "cli/command.h"

namespace minke::cli {

CLI::App* add_bench_engine_command(CLI::App& bench, Session& session);

}  // namespace minke::cli
