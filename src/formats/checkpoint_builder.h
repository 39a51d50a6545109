// How a Checkpoint is put together; used by the files that open each kind.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "formats/checkpoint.h"

namespace minke::formats {

struct TiledHeader;

class CheckpointBuilder {
 public:
  CheckpointBuilder(CheckpointKind kind, std::string path);

  /// A folder that holds config.json and safetensors files.
  void load_safetensors_folder();
  /// config.json alone: `file`, and the other texts when that is the name it has in a model's folder.
  void load_config(const std::string& file);
  /// What `config` would be with these tensors.
  void plan(const Checkpoint& config, std::span<const TensorSpec> tensors);
  /// A tiled file, a GGUF file, or the first file of a split one.
  void load_file();

  /// Sorts the names, refuses duplicates, checks the maps.
  std::shared_ptr<const Checkpoint> finish();

 private:
  const base::MappedFile& map(const std::string& path);

  // safetensors
  void load_single(const std::string& file);
  void load_sharded(const std::string& index_file);
  void load_texts();
  // GGUF
  void load_gguf(const base::MappedFile& file);
  void add_gguf_tensors(const GgufHeader& header, const base::MappedFile& file);
  void load_gguf_parts(std::uint64_t count, std::uint64_t expected_tensors);

  // tiled
  void load_tiled(const base::MappedFile& file);
  void load_tiled_texts(const TiledHeader& header);

  std::shared_ptr<Checkpoint> checkpoint_;
};

}  // namespace minke::formats
