// minke import: models that are on this machine already, into the store.
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "formats/checkpoint.h"
#include "hub/import.h"
#include "hub/near_names.h"

namespace minke::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOllama = "ollama:";

struct ImportFlags {
  std::string model, name;
};

/// Where Ollama keeps its models: its own variable, the user's folder, the service's.
fs::path ollama_root(const Environment& env) {
  if (!env.ollama_models.empty()) return env.ollama_models;
  std::error_code ignored;
  const fs::path own = fs::path(env.home) / ".ollama" / "models";
  const fs::path service = "/usr/share/ollama/.ollama/models";
  return !fs::is_directory(own / "manifests", ignored) && fs::is_directory(service / "manifests", ignored) ? service
                                                                                                           : own;
}

int list_ollama(const fs::path& root, const std::vector<hub::OllamaModel>& models) {
  if (models.empty()) {
    note(base::cat("no models in Ollama's store ", root.string(), "\nhint: OLLAMA_MODELS=FOLDER names another\n"));
    return 0;
  }
  Output out(STDOUT_FILENO, "standard output");
  for (const hub::OllamaModel& model : models)
    out.write(base::cat(kOllama, printable(model.name), "  ", byte_text(model.bytes), "\n"));
  out.flush();
  return 0;
}

hub::OllamaModel find_ollama(const fs::path& root, std::string wanted) {
  if (wanted.find(':') == std::string::npos) wanted += ":latest";
  std::vector<std::string> names;
  for (hub::OllamaModel& model : hub::ollama_models(root)) {
    if (model.name == wanted) return std::move(model);
    names.push_back(model.name);
  }
  std::string near;
  for (const std::string& name : hub::near_names(wanted, names))
    near += base::cat(near.empty() ? "near: " : ", ", name);
  throw base::Error(base::ErrorCode::not_found,
                    base::cat(base::quote_name(wanted), ": not in Ollama's store ", root.string()),
                    near.empty() ? "minke import ollama: lists what is there" : near);
}

int import_model(const Session& session, const ImportFlags& flags) {
  const hub::ModelStore store = session.environment.store();
  std::vector<hub::LinkedFile> files;
  std::string name = flags.name;
  std::string source = "import";
  if (flags.model.starts_with(kOllama)) {
    const fs::path root = ollama_root(session.environment);
    const std::string wanted = flags.model.substr(kOllama.size());
    if (wanted.empty()) return list_ollama(root, hub::ollama_models(root));
    const hub::OllamaModel model = find_ollama(root, wanted);
    const std::string plain = model.name.substr(model.name.rfind('/') + 1);
    files.push_back({base::cat(plain.substr(0, plain.find(':')), ".gguf"), fs::absolute(model.blob)});
    if (name.empty()) name = plain;
    source = "ollama";
  } else {
    std::error_code ignored;
    const fs::path given(flags.model);
    const std::string path = store.resolve(fs::exists(given, ignored) ? fs::absolute(given).string() : flags.model);
    files = hub::model_files(path);
    if (name.empty()) name = hub::name_for_file(fs::absolute(given).lexically_normal());
  }
  if (!hub::parse_store_name(name))
    throw UsageError(base::cat(base::quote_name(name), " is no store name"),
                     "--name NAME or NAME:TAG, each of letters, digits, '.', '_' and '-'");
  // What cannot be opened is not taken in: headers, shapes, sizes.
  const bool folder = files.size() > 1 && files.front().target.extension() != ".gguf";
  formats::Checkpoint::open(folder ? files.front().target.parent_path().string() : files.front().target.string());
  const hub::StoredModel model =
      hub::link_model(store, name, files, source, files.front().target.parent_path().string());
  note(base::cat(model.name, ": ", byte_text(model.bytes), " linked, nothing copied; run it: minke run ", model.name,
                 "\n"));
  Output out(STDOUT_FILENO, "standard output");
  out.write(store.resolve(model.name) + "\n");
  out.flush();
  return 0;
}

}  // namespace

void add_import_command(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("import", "Take a model that is on this machine into the store, without a copy");
  const auto flags = std::make_shared<ImportFlags>();
  command
      ->add_option("MODEL", flags->model,
                   "A .gguf or .minke file, the first of a split one, a safetensors folder, or ollama:NAME[:TAG]")
      ->required()
      ->option_text("");
  command->add_option("--name", flags->name, "Store name, instead of one made of the file's")->option_text("NAME");
  command->footer(
      "The files stay where they are: the store links to them, and \"minke rm\" deletes the links alone. Ollama's "
      "store\n"
      "is only read ($OLLAMA_MODELS, ~/.ollama/models); \"ollama:\" alone lists what it has.\n\n"
      "Examples:\n"
      "  minke import ~/Downloads/model-Q4_K_M.gguf\n"
      "  minke import /data/DeepSeek-V2-Lite-Chat --name v2-lite\n"
      "  minke import ollama:\n"
      "  minke import ollama:deepseek-r1:1.5b");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return import_model(session, *flags); }; });
}

}  // namespace minke::cli
