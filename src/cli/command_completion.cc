// minke completion, minke manual: what an installation puts beside the program.
#include <unistd.h>

#include <memory>

#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/command_tree.h"
#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/output.h"
#include "cli/version.h"

namespace minke::cli {
namespace {

constexpr const char* kCompletionExamples =
    "Examples:\n"
    "  source <(minke completion bash)                   in ~/.bashrc\n"
    "  minke completion zsh > ~/.zfunc/_minke            with ~/.zfunc in $fpath\n"
    "  minke completion fish > ~/.config/fish/completions/minke.fish";

int print(const std::string& text) {
  Output out(STDOUT_FILENO, "standard output");
  out.write(text);
  out.flush();
  return 0;
}

}  // namespace

void add_completion_command(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("completion", "Print the script that completes minke's command lines in a shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember(completion_shells()));
  command->footer(kCompletionExamples);
  command->parse_complete_callback([&app, &session, shell] {
    session.action = [&app, shell] { return print(completion_script(describe(app), *shell)); };
  });
}

void add_manual_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("manual", "Print the manual page, for man");
  command->footer("Examples:\n  minke manual | man -l -\n  minke manual > /usr/local/share/man/man1/minke.1");
  command->parse_complete_callback(
      [&app, &session] { session.action = [&app] { return print(manual_page(describe(app), version_number())); }; });
}

}  // namespace minke::cli
