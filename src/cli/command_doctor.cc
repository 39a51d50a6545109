// minke doctor: what this machine offers and what Minke makes of it.
#include <unistd.h>

#include <optional>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/cpu_count.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/text_file.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "engine/bandwidth.h"
#include "kernels/isa.h"

namespace minke::cli {
namespace {

std::string memory_value(std::string_view key) {
  const auto bytes = memory_bytes(key);
  return bytes ? byte_text(*bytes) : "unknown";
}

std::string row(std::string_view label, std::string_view value) {
  return base::cat(padded(label, 14), printable(value), "\n");
}

std::string threads_text() {
  const auto cpus = base::allowed_cpus();
  const auto quota = base::cgroup_cpu_quota("");
  return base::cat(base::default_thread_count(), " by default: ", cpus.size(), " processors allowed, ",
                   base::physical_cores(cpus, ""), " physical cores, ",
                   quota ? base::cat("a quota of ", fixed_text(*quota, 1)) : std::string("no quota"));
}

std::string isa_text() {
  std::string text;
  for (const kernels::Isa isa : kernels::available_isas()) {
    text += base::cat(text.empty() ? "" : ", ", kernels::to_string(isa));
  }
  return base::cat(text, "; chosen ", kernels::name(kernels::kernel_table(kernels::best_isa())));
}

std::string store_text(const hub::ModelStore& store) {
  std::uint64_t bytes = 0;
  const auto models = store.list();
  for (const hub::StoredModel& model : models) bytes += model.bytes;
  return base::cat(store.root().string(), ": ", models.size(), models.size() == 1 ? " model, " : " models, ",
                   byte_text(bytes));
}

int doctor(const Session& session) {
  Output out(STDOUT_FILENO, "standard output");
  std::string version = version_text();
  strip_final_newline(version);
  for (char& c : version) c = c == '\n' ? ' ' : c;
  out.write(row("program", version));
  out.write(row("processor", processor_name()));
  out.write(row("kernels", isa_text()));
  out.write(row("threads", threads_text()));
  out.write(row("memory", base::cat(memory_value("MemAvailable"), " available of ", memory_value("MemTotal"))));
  base::ThreadPool pool(base::default_thread_count());
  out.write(row("bandwidth", base::cat(byte_text(static_cast<std::uint64_t>(engine::measure_read_bandwidth(pool))),
                                       "/s read by ", pool.size(), pool.size() == 1 ? " thread" : " threads")));
  out.write(row("store", store_text(session.environment.store())));
  out.flush();
  return 0;
}

}  // namespace

void add_doctor_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("doctor", "This machine: processor, kernels, threads, memory, store");
  command->parse_complete_callback([&session] { session.action = [&session] { return doctor(session); }; });
}

}  // namespace minke::cli
