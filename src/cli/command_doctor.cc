// minke doctor: what this machine offers and what Minke makes of it.
#include <unistd.h>

#include <memory>

#include <CLI/CLI.hpp>

#include "base/cat.h"
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

int doctor(const Session& session, bool as_json) {
  Output out(STDOUT_FILENO, "standard output");
  const MachineReport report = examine_machine();
  if (as_json) {
    out.write(machine_json(report));
  } else {
    std::string version = version_text();
    strip_final_newline(version);
    for (char& c : version) c = c == '\n' ? ' ' : c;
    out.write(row("program", version));
    out.write(machine_text(report));
    out.write(row("store", store_text(session.environment.store())));
  }
  out.flush();
  return 0;
}

}  // namespace

void add_doctor_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("doctor", "This machine: processor, kernels, threads, memory, limits, store");
  const auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "As one JSON object");
  command->parse_complete_callback(
      [&session, as_json] { session.action = [&session, as_json] { return doctor(session, *as_json); }; });
}

}  // namespace minke::cli
