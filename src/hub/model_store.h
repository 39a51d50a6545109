// The local model store: a folder of model folders, and the way from a name to a checkpoint's path.
//
//   ROOT/qwen2.5-coder@1.5b/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf    one folder per model
//   ROOT/qwen2.5-coder@1.5b/.minke.json                                where it is from (hub/store_record.h)
//   ROOT/.tmp/                                                         downloads and removals under way
//
// A store name is NAME or NAME:TAG, each of lower-case letters, digits, '.', '_', '-', starting and ending
// with a letter or digit. Its folder has '@' for ':' (which Windows and macOS refuse in file names); '@' is
// in no name, so the way back is exact. Lower case only, no trailing dot and no Windows device name: the
// same name is one and the same folder on every file system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/gallery.h"
#include "hub/hub_name.h"

namespace minke::hub {

enum class ModelFormat { safetensors, gguf, tiled, unknown };

/// "safetensors", "gguf", "tiled", "unknown".
std::string_view to_string(ModelFormat format) noexcept;

struct StoredModel {
  std::string name;           ///< store name
  std::string path;           ///< what Checkpoint::open takes; the folder itself when `problem` is set
  std::uint64_t bytes = 0;    ///< of the model's files (weights, tokenizer, configuration)
  std::int64_t modified = 0;  ///< newest file, seconds since 1970 UTC
  ModelFormat format = ModelFormat::unknown;
  std::string problem;       ///< why it cannot be opened; empty when it can
  std::uint64_t linked = 0;  ///< bytes of files that lie elsewhere, and are only linked here
};

/// `text` in lower case if that is a store name, else nullopt. Longest name: 100 characters.
std::optional<std::string> parse_store_name(std::string_view text);
/// Folder of a store name, and back; the latter is nullopt for a folder that no name maps to.
std::string folder_for_name(std::string_view store_name);
std::optional<std::string> name_for_folder(std::string_view folder);

/// Where the store is: `minke_models` ($MINKE_MODELS) if not empty, else minke/models under `xdg_data_home`
/// ($XDG_DATA_HOME, ignored unless absolute, as the XDG specification says), else under `home`/.local/share.
/// Empty when all three are. The caller reads the environment.
std::filesystem::path store_root(std::string_view minke_models, std::string_view xdg_data_home, std::string_view home);

class ModelStore {
 public:
  /// The folder need not exist (the store is then empty). An empty `root`: there is no place for a store; paths resolve
  /// all the same, and all else is Error(invalid_argument).
  explicit ModelStore(std::filesystem::path root, Gallery gallery = Gallery::built_in());

  /// Error(invalid_argument) when there is none.
  const std::filesystem::path& root() const;
  const Gallery& gallery() const noexcept { return gallery_; }

  /// Path for Checkpoint::open of a model given by store name or by path. A text with '/' or ending in
  /// ".gguf", ".minke" or ".safetensors", or "." or "..", is a path; any other is looked up in the store first, by the
  /// gallery's other names for it, too, then
  /// in the current folder. A path that is not there may be a repository's name (hub/hub_name.h), of which the store
  /// holds one model, or the one with the tag asked for. A path may be a safetensors folder, a .gguf file, the first
  /// file of a split one, or a folder that holds exactly one of these. Only names and the first four bytes are looked
  /// at. Errors: invalid_argument (empty text, a later file of a split, a lone .safetensors file), not_found (with near
  /// names and what to run), format (a folder with no model or several).
  std::string resolve(std::string_view name_or_path) const;

  /// All models by name. Folders that no name maps to, and folders without any model file, are left out.
  std::vector<StoredModel> list() const;

  /// Deletes a model's folder and returns what it was. Takes store names only; refuses (invalid_argument)
  /// paths, "..", and folders that are symbolic links; io when a fetch of that model is running. The model
  /// disappears at once (renamed into ROOT/.tmp first), even if deleting is then interrupted.
  /// Of what is only linked (`minke import`, files of the Hugging Face cache) the links go, and the files stay.
  StoredModel remove(std::string_view name) const;

 private:
  std::string resolve_path(const std::filesystem::path& path) const;
  std::string resolve_hub_name(const HubName& name, std::string_view text) const;
  [[noreturn]] void fail_not_found(std::string_view text) const;

  std::filesystem::path root_;
  Gallery gallery_;
};

}  // namespace minke::hub
