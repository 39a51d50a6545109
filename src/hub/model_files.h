// What lies in a model's folder, judged by file names alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "hub/model_store.h"

namespace minke::hub {

/// `NAME-00002-of-00003.gguf` as llama.cpp's gguf-split names it.
struct SplitName {
  std::uint32_t part = 0;  ///< 1-based; 0 when the name is not a split one
  std::uint32_t parts = 0;
  std::string first;  ///< file name of part 1
};
SplitName parse_split_name(std::string_view file_name);

struct FolderContents {
  std::string path;  ///< for Checkpoint::open; empty when `problem` is set
  ModelFormat format = ModelFormat::unknown;
  std::uint64_t bytes = 0;
  std::uint64_t linked = 0;  ///< of them, in files that symbolic links lead to
  std::int64_t modified = 0;
  bool any_model_file = false;  ///< a .gguf, .safetensors or config.json is there
  std::string problem;
};

/// Looks at the files directly in `folder` (no sub-folders, no dot files). Throws Error(io, not_found).
FolderContents inspect_folder(const std::filesystem::path& folder);

}  // namespace minke::hub
