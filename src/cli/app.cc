#include "cli/app.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/bench_plan.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "cli/version.h"

namespace minke::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

constexpr const char* kExamples =
    "Examples:\n"
    "  minke run qwen2.5-coder:1.5b                      chat in the terminal\n"
    "  minke run smollm2 \"Why is the sky blue?\"          one answer\n"
    "  git diff | minke run qwen2.5-coder:1.5b \"Review this:\"\n"
    "  minke serve qwen2.5-coder:1.5b                    an API server\n"
    "  minke show ./model.gguf                           what it is, what it needs, how fast it will be\n"
    "  minke pull user/repo:Q4_K_M                       fetch a model from a hub\n"
    "  minke list                                        the models in the store\n"
    "\n"
    "MODEL is a name in the store, a folder with safetensors, a .gguf file or the first file of a split one,\n"
    "or a .minke file.\n"
    "Every flag has an environment name, MINKE_ and the flag: MINKE_THREADS=2 is --threads 2. The store is\n"
    "$MINKE_MODELS, by default minke/models under the XDG data folder. Results go to standard output,\n"
    "everything else to standard error. Exit status: 0, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.\n"
    "\"minke COMMAND --help\" tells the rest.";

/// A file opened for a model or a result must never become standard output or error.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    // Opened for the wrong direction, so that using a stream that was closed still fails.
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
  }
}

void report(std::string_view message, std::string_view hint) {
  std::string text = base::cat("minke: ", message, "\n");
  if (!hint.empty()) text += base::cat("hint: ", hint, "\n");
  note(text);
}

/// CLI11 throws help and version as errors with status 0.
int finish_parsing(const CLI::App& app, const CLI::ParseError& error, std::string_view unknown_word) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    const CLI::App* asked = &app;
    while (!asked->get_subcommands().empty()) asked = asked->get_subcommands().front();
    Output out(STDOUT_FILENO, "standard output");
    out.write(error.get_name() == "CallForVersion" ? version_text() : asked->help());
    out.flush();
    return 0;
  }
  std::string command = "minke";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    command += base::cat(" ", at->get_name());
  }
  std::string message = error.what();
  // CLI11 only says that a command is missing, although there is one that does not exist.
  if (!unknown_word.empty() && app.get_subcommands().empty()) {
    message = base::cat("there is no command \"", printable(unknown_word), "\"");
  }
  report(message, base::cat("see \"", command, " --help\""));
  return kWrongUsage;
}

int parse_and_run(int argc, const char* const* argv) {
  Session session;
  session.environment = Environment::read();
  CLI::App app("Minke runs large language models on the processor.", "minke");
  app.set_version_flag("--version", std::string("shown by finish_parsing"), "Version and how it was built");
  app.require_subcommand(1);
  app.formatter(help_formatter());
  add_run_command(app, session);
  add_serve_command(app, session);
  add_ps_command(app, session);
  add_stop_command(app, session);
  add_show_command(app, session);
  add_pull_command(app, session);
  add_list_command(app, session);
  add_import_command(app, session);
  add_rm_command(app, session);
  add_tokenize_command(app, session);
  add_detokenize_command(app, session);
  add_eval_command(app, session);
  add_convert_command(app, session);
  add_gen_command(app, session);
  add_bench_command(app, session);
  add_doctor_command(app, session);
  add_completion_command(app, session);
  add_manual_command(app, session);
  add_environment_names(app);
  app.footer(kExamples);  // last: commands would inherit it
  try {
    std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    arguments = with_long_bench_flags(std::move(arguments));
    std::ranges::reverse(arguments);  // as CLI11 wants a vector
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (argc <= 1) {
      note(app.help());
      return kWrongUsage;
    }
    const std::string_view first = argv[1];
    return finish_parsing(app, error, first.starts_with('-') ? std::string_view() : first);
  }
  return session.action();
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  fill_standard_streams();
  install_signal_handlers();
  try {
    return parse_and_run(argc, argv);
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const UsageError& error) {
    report(error.message(), error.hint());
    return kWrongUsage;
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::cancelled) return kInterruptedStatus;
    report(error.message(), error.hint());
  } catch (const std::bad_alloc&) {
    report("out of memory", "a smaller --ctx-size or model needs less; \"minke show MODEL\" says how much");
  } catch (const std::system_error& error) {
    report(base::cat("the system refused: ", error.what()), "");
  } catch (const std::exception& error) {
    report(base::cat("internal error: ", error.what()), "this is a bug; please report it with the command");
  }
  return kFailed;
}

}  // namespace minke::cli
