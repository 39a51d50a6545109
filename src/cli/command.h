// The commands: each adds its subcommand and flags to the program, and says what to run when it was asked for.
#pragma once

#include <functional>

#include "base/error.h"
#include "cli/environment.h"

namespace CLI {
class App;
}

namespace minke::cli {

/// The command line asks for what cannot be: the exit status is 2, not 1.
class UsageError : public base::Error {
 public:
  UsageError(std::string message, std::string hint)
      : base::Error(base::ErrorCode::invalid_argument, std::move(message), std::move(hint)) {}
};

/// What one start of the program shares with its commands.
struct Session {
  Environment environment;
  /// Set by the subcommand that was asked for; returns the exit status.
  std::function<int()> action;
};

void add_run_command(CLI::App& app, Session& session);
void add_serve_command(CLI::App& app, Session& session);
void add_ps_command(CLI::App& app, Session& session);
void add_stop_command(CLI::App& app, Session& session);
void add_show_command(CLI::App& app, Session& session);
void add_list_command(CLI::App& app, Session& session);
void add_pull_command(CLI::App& app, Session& session);
void add_import_command(CLI::App& app, Session& session);
void add_rm_command(CLI::App& app, Session& session);
void add_tokenize_command(CLI::App& app, Session& session);
void add_detokenize_command(CLI::App& app, Session& session);
void add_eval_command(CLI::App& app, Session& session);
void add_convert_command(CLI::App& app, Session& session);
void add_gen_command(CLI::App& app, Session& session);
void add_bench_command(CLI::App& app, Session& session);
void add_doctor_command(CLI::App& app, Session& session);
void add_completion_command(CLI::App& app, Session& session);
void add_manual_command(CLI::App& app, Session& session);

}  // namespace minke::cli
