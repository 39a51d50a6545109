#include "hub/model_store.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "hub/catalogue.h"
#include "hub/hub_name.h"
#include "hub/model_choice.h"
#include "hub/model_files.h"
#include "hub/near_names.h"
#include "hub/store_lock.h"

namespace minke::hub {

namespace fs = std::filesystem;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::string_view kTemporaryFolder = ".tmp";

bool looks_like_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".gguf") || text.ends_with(".minke") ||
         text.ends_with(".safetensors") || text == "." || text == "..";
}

// errno values travel as error_code out of std::filesystem.
fs::file_status status_or_throw(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status) && error && error != std::errc::no_such_file_or_directory) {
    throw base::io_error(path.string(), "look at it", error.value());
  }
  return status;
}

/// Of a file that one can be told by, whatever its name.
bool has_magic(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 8> start{};
  file.read(start.data(), start.size());
  const std::string_view text(start.data(), static_cast<std::size_t>(file.gcount()));
  return text.starts_with("GGUF") || text == "MINKE\r\n\x1a";
}

std::string quoted_list(std::span<const std::string> names) {
  std::string out;
  for (const std::string& name : names) {
    out += cat(out.empty() ? "" : ", ", name);
  }
  return out;
}

bool in_catalogue(std::string_view name) {
  const auto entries = catalogue();
  return std::any_of(entries.begin(), entries.end(),
                     [name](const CatalogueEntry& entry) { return entry.name == name; });
}

StoredModel to_stored(std::string name, const fs::path& folder, const FolderContents& contents) {
  return {.name = std::move(name),
          .path = contents.problem.empty() ? contents.path : folder.string(),
          .bytes = contents.bytes,
          .modified = contents.modified,
          .format = contents.format,
          .problem = contents.problem,
          .linked = contents.linked};
}

// A name in .tmp that no other removal, now or before, uses.
fs::path unused_removal_path(const fs::path& temporary, const std::string& folder) {
  for (int number = 0;; ++number) {
    fs::path path = temporary / cat("removed-", folder, "-", static_cast<long>(::getpid()), "-", number);
    std::error_code error;
    if (!fs::exists(fs::symlink_status(path, error))) {
      return path;
    }
  }
}

}  // namespace

std::string_view to_string(ModelFormat format) noexcept {
  switch (format) {
    case ModelFormat::safetensors:
      return "safetensors";
    case ModelFormat::gguf:
      return "gguf";
    case ModelFormat::tiled:
      return "tiled";
    case ModelFormat::unknown:
      break;
  }
  return "unknown";
}

fs::path store_root(std::string_view minke_models, std::string_view xdg_data_home, std::string_view home) {
  if (!minke_models.empty()) {
    return minke_models;
  }
  const fs::path inside = fs::path("minke") / "models";
  if (xdg_data_home.starts_with('/')) {
    return fs::path(xdg_data_home) / inside;
  }
  if (!home.empty()) {
    return fs::path(home) / ".local" / "share" / inside;
  }
  return {};
}

ModelStore::ModelStore(fs::path root, Gallery gallery) : root_(std::move(root)), gallery_(std::move(gallery)) {}

const fs::path& ModelStore::root() const {
  if (root_.empty())
    throw Error(ErrorCode::invalid_argument, "no place for the model store: HOME is not set",
                "set MINKE_MODELS to a folder, or give a model's path");
  return root_;
}

std::string ModelStore::resolve(std::string_view name_or_path) const {
  if (name_or_path.empty()) {
    throw Error(ErrorCode::invalid_argument, "the model's name is empty", "`minke list` shows the models");
  }
  if (name_or_path.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::invalid_argument, "the model's name holds a NUL character");
  }
  if (looks_like_path(name_or_path)) {
    const std::optional<HubName> hub_name = parse_hub_name(name_or_path);
    if (hub_name && !fs::exists(status_or_throw(fs::path(name_or_path)))) {
      return resolve_hub_name(*hub_name, name_or_path);
    }
    return resolve_path(name_or_path);
  }
  if (const std::optional<std::string> name = parse_store_name(name_or_path); name && !root_.empty()) {
    fs::path folder = root_ / folder_for_name(*name);
    if (const auto hit = gallery_.find(*name); hit && !fs::is_directory(status_or_throw(folder))) {
      folder = root_ / folder_for_name(store_name_of(*hit->entry, hit->quant));
    }
    if (fs::is_directory(status_or_throw(folder))) {
      const FolderContents contents = inspect_folder(folder);
      if (contents.problem.empty()) {
        return contents.path;
      }
      // An empty folder is what a fetch that was stopped may leave.
      if (contents.any_model_file) {
        throw Error(ErrorCode::format, cat("model '", *name, "': ", folder.string(), ": ", contents.problem),
                    "give the path of the one that is meant");
      }
    }
  }
  const fs::path local(name_or_path);
  if (name_or_path.size() < 256 && fs::exists(status_or_throw(local))) {
    return resolve_path(local);
  }
  fail_not_found(name_or_path);
}

std::string ModelStore::resolve_path(const fs::path& path) const {
  std::string text = path.string();
  const fs::file_status status = status_or_throw(path);
  if (!fs::exists(status)) {
    throw Error(ErrorCode::not_found, cat(text, ": there is no such file or folder"),
                "MODEL is a safetensors folder, a .gguf or .minke file or a store name; `minke list` shows the names");
  }
  if (fs::is_directory(status)) {
    const FolderContents contents = inspect_folder(path);
    if (!contents.problem.empty()) {
      throw Error(ErrorCode::format, cat(text, ": ", contents.problem),
                  "expected config.json with model.safetensors (or its index), or one .gguf or .minke file");
    }
    return contents.path;
  }
  if (!fs::is_regular_file(status)) {
    throw Error(ErrorCode::invalid_argument, cat(text, ": expected a file or a folder, got a device, pipe or socket"));
  }
  const std::string name = path.filename().string();
  if (const SplitName split = parse_split_name(name); split.part > 1) {
    throw Error(ErrorCode::invalid_argument,
                cat(text, ": this is file ", split.part, " of ", split.parts, " of a split model"),
                cat("give the first: ", (path.parent_path() / split.first).string()));
  }
  if (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")) {
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    throw Error(ErrorCode::invalid_argument, cat(text, ": expected a folder with config.json, got one of its files"),
                cat("give the folder: ", folder.string()));
  }
  if (!name.ends_with(".gguf") && !name.ends_with(".minke") && !has_magic(path)) {
    throw Error(
        ErrorCode::unsupported, cat(text, ": expected a GGUF file, got a file without GGUF's first four bytes"),
        "models are safetensors folders, .gguf and .minke files; pickled checkpoints (.bin, .pt) are never read");
  }
  return text;
}

std::string ModelStore::resolve_hub_name(const HubName& name, std::string_view text) const {
  const std::optional<std::string> untagged = store_name_of(name.repo, "");
  // A file may have been asked for by its name, and is stored by its quantisation.
  const std::string quant = quant_in_name(name.what);
  const std::optional<std::string> tagged = store_name_of(name.repo, quant.empty() ? name.what : quant);
  std::vector<StoredModel> found;
  for (StoredModel& model : list()) {
    const bool all = name.what.empty() && untagged && model.name.starts_with(*untagged + ":");
    if (model.name == untagged || model.name == tagged || all) found.push_back(std::move(model));
  }
  if (found.size() == 1 && found.front().problem.empty()) return found.front().path;
  if (found.size() == 1)
    throw Error(ErrorCode::format, cat("model '", found.front().name, "': ", found.front().problem),
                cat("fetch it again: minke pull ", text));
  if (found.empty())
    throw Error(
        ErrorCode::not_found,
        cat(text.substr(0, 300), ": there is no such file or folder, and no model of that repository in the store"),
        cat("fetch it: minke pull ", text.substr(0, 300)));
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const StoredModel& model : found) names.push_back(model.name);
  throw Error(ErrorCode::invalid_argument, cat(text.substr(0, 300), ": several models of it are in the store"),
              cat("name one: ", quoted_list(names)));
}

void ModelStore::fail_not_found(std::string_view text) const {
  std::vector<std::string> here;
  for (const StoredModel& model : list()) {
    here.push_back(model.name);
  }
  std::vector<std::string> known = here;
  for (const GalleryEntry& entry : gallery_.entries()) {
    known.push_back(entry.name);
  }
  std::string hint;
  if (const auto hit = gallery_.find(text)) {
    hint = cat("fetch it: minke pull ", store_name_of(*hit->entry, hit->quant));
    if (hit->quant.empty() && in_catalogue(hit->entry->name)) {
      hint += cat("; without a hub: script/fetch-model ", hit->entry->name);
    }
  } else {
    const std::vector<std::string> near = near_names(text, known);
    if (!near.empty()) {
      hint = cat("near: ", quoted_list(near), ". ");
    }
    hint += here.empty() ? std::string("the store is empty. ") : cat("in the store: ", quoted_list(here), ". ");
    hint += cat("to fetch one: minke pull ", near.empty() ? "NAME (minke list --available shows them)" : near[0]);
  }
  throw Error(ErrorCode::not_found,
              cat("model '", text.substr(0, 200), "': not in the store ", root().string(), " and no such file"),
              std::move(hint));
}

std::vector<StoredModel> ModelStore::list() const {
  std::vector<StoredModel> models;
  if (!fs::exists(status_or_throw(root()))) {
    return models;
  }
  std::error_code error;
  fs::directory_iterator entries(root_, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::optional<std::string> name = name_for_folder(entries->path().filename().string());
    std::error_code not_a_folder;
    if (!name || !entries->is_directory(not_a_folder)) {
      continue;
    }
    const FolderContents contents = inspect_folder(entries->path());
    if (contents.any_model_file) {
      models.push_back(to_stored(std::move(*name), entries->path(), contents));
    }
  }
  if (error) {
    throw base::io_error(root_.string(), "read the model store", error.value());
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return models;
}

StoredModel ModelStore::remove(std::string_view text) const {
  const std::optional<std::string> name = parse_store_name(text);
  if (!name) {
    throw Error(ErrorCode::invalid_argument, cat("'", text.substr(0, 200), "' is not a store name"),
                "only models of the store are removed, by name; `minke list` shows them");
  }
  const std::string folder_name = folder_for_name(*name);
  const fs::path folder = root() / folder_name;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(folder, error);
  if (!fs::exists(status)) {
    fail_not_found(*name);
  }
  if (!fs::is_directory(status)) {
    throw Error(ErrorCode::invalid_argument,
                cat(folder.string(), ": expected a folder of the store, got ",
                    fs::is_symlink(status) ? "a symbolic link" : "something else"),
                "it points or lies outside the store's care: delete it by hand");
  }
  StoredModel removed = to_stored(*name, folder, inspect_folder(folder));

  const fs::path temporary = root_ / kTemporaryFolder;
  if (const fs::file_status there = fs::symlink_status(temporary, error);
      fs::exists(there) && !fs::is_directory(there)) {
    throw Error(ErrorCode::invalid_argument, cat(temporary.string(), ": expected a folder of the store"),
                "delete it by hand");
  }
  fs::create_directory(temporary, error);
  if (error) {
    throw base::io_error(temporary.string(), "create the folder", error.value());
  }
  const StoreLock lock(temporary / cat(folder_name, ".lock"), *name);
  const fs::path doomed = unused_removal_path(temporary, folder_name);
  fs::rename(folder, doomed, error);
  if (error) {
    throw base::io_error(folder.string(), "remove the model", error.value());
  }
  std::error_code ignored;
  fs::remove_all(temporary / cat("pull-", folder_name), ignored);  // of a newer revision, half fetched
  fs::remove_all(doomed, error);                                   // never follows links
  if (error) {
    throw base::io_error(doomed.string(), "delete the removed model's files", error.value());
  }
  return removed;
}

}  // namespace minke::hub
