// Models that are on this machine already, into the store: by links, so that there is one copy of a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "hub/model_store.h"

namespace minke::hub {

struct LinkedFile {
  std::string name;              ///< in the model's folder
  std::filesystem::path target;  ///< absolute
};

/// The files of the model at `path` (as ModelStore::resolve gives it): a .gguf or .minke file, all parts of a split
/// one, or what of a safetensors folder belongs to the model. Error(not_found) naming a part that is missing.
std::vector<LinkedFile> model_files(const std::filesystem::path& path);

/// A store name made of a file's or folder's name: "Qwen2.5-7B-Q4_K_M.gguf" -> "qwen2.5-7b:q4_k_m"; empty when none can
/// be.
std::string name_for_file(const std::filesystem::path& path);

/// A model of the store that consists of symbolic links. `source` and `origin` go into its record.
/// Error(invalid_argument) when there is one of that name; io.
StoredModel link_model(const ModelStore& store, std::string_view name, const std::vector<LinkedFile>& files,
                       std::string_view source, std::string_view origin);

struct OllamaModel {
  std::string name;  ///< "llama3.2:1b"; of another registry or user with those in front
  std::filesystem::path blob;
  std::uint64_t bytes = 0;
};

/// The models of an Ollama store that consist of one GGUF whose blob is there in its full length, by name. The store is
/// only read: ROOT/manifests/HOST/USER/NAME/TAG are small JSON files whose layers name ROOT/blobs/sha256-DIGEST.
/// Manifests that are not understood are left out.
std::vector<OllamaModel> ollama_models(const std::filesystem::path& root);

}  // namespace minke::hub
