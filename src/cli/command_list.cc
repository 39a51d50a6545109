// minke list, minke rm: the local model store.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/available_models.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_file.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

std::string date_text(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  if (::localtime_r(&time, &parts) == nullptr) return "?";
  std::array<char, 32> buffer{};
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M", &parts);
  return std::string(buffer.data(), size);
}

std::string list_json(const std::vector<hub::StoredModel>& models) {
  boost::json::array rows;
  for (const hub::StoredModel& model : models) {
    boost::json::object row;
    row["name"] = model.name;
    row["path"] = model.path;
    row["bytes"] = model.bytes;
    row["modified"] = model.modified;
    if (model.linked > 0) row["linked"] = model.linked;
    row["format"] = std::string(hub::to_string(model.format));
    if (!model.problem.empty()) row["problem"] = model.problem;
    rows.push_back(std::move(row));
  }
  return boost::json::serialize(rows) + "\n";
}

std::string list_table(const std::vector<hub::StoredModel>& models) {
  std::size_t width = 4;
  for (const hub::StoredModel& model : models) width = std::max(width, model.name.size());
  std::string text =
      base::cat(padded("NAME", width), "  ", padded_left("SIZE", 8), "  ", padded("FORMAT", 11), "  MODIFIED\n");
  for (const hub::StoredModel& model : models) {
    text += base::cat(padded(model.name, width), "  ", padded_left(byte_text(model.bytes), 8), "  ",
                      padded(hub::to_string(model.format), 11), "  ", date_text(model.modified));
    if (!model.problem.empty()) text += base::cat("  (", printable(model.problem), ")");
    text += "\n";
  }
  return text;
}

std::string empty_store_text(const hub::ModelStore& store) {
  return base::cat(
      "no models in ", store.root().string(),
      "\nhint: minke pull NAME fetches one of \"minke list --available\"; script/fetch-model NAME one of its "
      "own, without a hub\n");
}

struct ListFlags {
  bool json = false, available = false, fits = false;
};

void list_available(const hub::ModelStore& store, const ListFlags& flags, Output& out) {
  std::vector<AvailableModel> models = available_models(store, room_for_weights());
  if (flags.fits)
    std::erase_if(models, [](const AvailableModel& model) { return !model.fits || !model.entry->missing.empty(); });
  out.write(flags.json ? available_json(models) : available_table(models));
}

int list(const Session& session, const ListFlags& flags) {
  const hub::ModelStore store = session.environment.store();
  const std::vector<hub::StoredModel> models = store.list();
  Output out(STDOUT_FILENO, "standard output");
  if (flags.available || flags.fits) {
    list_available(store, flags, out);
  } else if (flags.json) {
    out.write(list_json(models));
  } else if (models.empty()) {
    note(empty_store_text(store));
  } else {
    out.write(list_table(models));
  }
  out.flush();
  return 0;
}

bool confirmed(const Session& session, const std::string& name) {
  if (!session.environment.stdin_terminal) {
    throw base::Error(base::ErrorCode::invalid_argument, base::cat("not deleting ", name, " without being asked to"),
                      "add --yes where nobody can be asked");
  }
  note(base::cat("delete ", name, "? [y/N] "));
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line)) && (line == "y" || line == "Y" || line == "yes");
}

int remove(const Session& session, const std::string& name, bool yes) {
  const hub::ModelStore store = session.environment.store();
  if (!yes) {
    const std::vector<hub::StoredModel> models = store.list();
    const auto wanted = hub::parse_store_name(name);
    const bool known = wanted && std::any_of(models.begin(), models.end(),
                                             [&](const hub::StoredModel& m) { return m.name == *wanted; });
    // A name that is not there gets the store's own error rather than a question.
    if (known && !confirmed(session, *wanted)) return 1;
  }
  const hub::StoredModel gone = store.remove(name);
  std::string text = base::cat("deleted ", gone.name, " (", byte_text(gone.bytes - gone.linked), ")");
  if (gone.linked > 0)
    text += base::cat("; files of ", byte_text(gone.linked), " that it linked to stay where they are");
  note(base::cat(text, "\n"));
  return 0;
}

}  // namespace

void add_list_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("list", "The models in the store, and those to be had")->alias("ls");
  const auto flags = std::make_shared<ListFlags>();
  command->add_flag("--json", flags->json, "As a JSON array");
  command->add_flag("--available", flags->available, "Models that \"minke pull NAME\" fetches");
  command->add_flag("--fits", flags->fits, "Of those, the ones that run and fit in the memory that is free now");
  command->footer(
      "A size with ~ is an estimate from the number of parameters; \"minke show NAME\" asks the hub for what is "
      "exact.\n"
      "Your own names: files gallery/*.json in the configuration folder (~/.config/minke), of the form that "
      "docs/models.md\n"
      "describes.\n\n"
      "Examples:\n"
      "  minke list\n"
      "  minke list --available --fits");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return list(session, *flags); }; });
}

void add_rm_command(CLI::App& app, Session& session) {
  struct Flags {
    std::string name;
    bool yes = false;
  };
  CLI::App* command = app.add_subcommand("rm", "Delete a model from the store");
  const auto flags = std::make_shared<Flags>();
  command->add_option("NAME", flags->name, "Store name, as \"minke list\" shows it")->required()->option_text("");
  command->add_flag("-f,--yes", flags->yes, "Do not ask");
  command->footer(
      "Deletes the model's folder in the store. Of a model that is only linked (\"minke import\", the Hugging Face "
      "cache)\n"
      "the links go, and its files stay where they are.\n\n"
      "Examples:\n"
      "  minke rm smollm2\n"
      "  minke rm --yes qwen--qwen2.5-0.5b-instruct-gguf:q4_k_m");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return remove(session, flags->name, flags->yes); }; });
}

}  // namespace minke::cli
