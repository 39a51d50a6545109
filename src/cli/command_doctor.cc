// minke doctor: what this machine offers and what Minke makes of it.
#include <unistd.h>

#include <cstdint>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "cli/bug_report.h"
#include "cli/command.h"
#include "cli/machine_report.h"
#include "cli/output.h"
#include "cli/text_file.h"
#include "cli/text_format.h"
#include "cli/version.h"

namespace minke::cli {
namespace {

std::string row(std::string_view label, std::string_view value) {
  return base::cat(padded(label, 14), printable(value), "\n");
}

std::string store_text(const hub::ModelStore& store) {
  std::uint64_t bytes = 0;
  const auto models = store.list();
  for (const hub::StoredModel& model : models) bytes += model.bytes;
  return base::cat(store.root().string(), ": ", models.size(), models.size() == 1 ? " model, " : " models, ",
                   byte_text(bytes));
}

enum class Form : std::uint8_t { text, json, bug_report };

int doctor(const Session& session, Form form) {
  Output out(STDOUT_FILENO, "standard output");
  const MachineReport report = examine_machine();
  if (form == Form::json) {
    out.write(machine_json(report));
  } else if (form == Form::bug_report) {
    out.write(bug_report(report, session.environment));
  } else {
    std::string version = program_text();
    strip_final_newline(version);
    for (char& c : version) c = c == '\n' ? ' ' : c;
    out.write(row("program", version));
    out.write(row("constrained", constrained_text()));
    out.write(machine_text(report));
    out.write(row("store", store_text(session.environment.store())));
  }
  out.flush();
  return 0;
}

}  // namespace

void add_doctor_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("doctor", "This machine: processor, kernels, threads, memory, limits, store");
  const auto form = std::make_shared<Form>(Form::text);
  CLI::Option* json = command->add_flag_callback(
      "--json", [form] { *form = Form::json; }, "As one JSON object");
  command
      ->add_flag_callback(
          "--report", [form] { *form = Form::bug_report; },
          "As the report of a bug wants it: Markdown without secrets, model names or your home folder")
      ->excludes(json);
  command->footer("Examples:\n  minke doctor\n  minke doctor --report > report.md");
  command->parse_complete_callback(
      [&session, form] { session.action = [&session, form] { return doctor(session, *form); }; });
}

}  // namespace minke::cli
