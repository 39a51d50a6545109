// A checkpoint on disk: a safetensors folder, a GGUF file (also split) or a tiled file made of either, opened once,
// checked whole, then seen as named tensor views over read-only maps.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/mapped_file.h"
#include "formats/dtype.h"
#include "formats/gguf.h"
#include "formats/tensor_spec.h"

namespace minke::formats {

/// One tensor: its bytes are inside `file`'s map, exactly as long as shape and type say (tiled: what loading checks).
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;  ///< outermost first, as PyTorch prints it (GGUF's order reversed)
  std::span<const std::byte> data;
  const base::MappedFile* file = nullptr;
  bool tiled = false;  ///< as the kernels read it (formats/tiled.h), not row after row

  std::uint64_t elements() const noexcept;
  /// Of the data; where the checkpoint is only planned and `data` is empty, what they will be.
  std::uint64_t bytes() const noexcept;
  /// "[151936, 1536]"
  std::string shape_text() const;
};

enum class CheckpointKind { safetensors, gguf };

class Checkpoint {
 public:
  /// `path`: a folder with config.json and model.safetensors or model.safetensors.index.json; a .gguf
  /// file, or the first file of a split one; a tiled file. Every header is checked here: types, shapes, extents inside
  /// the files, no overlap, no duplicate names, no missing shard. Errors name the file and the item.
  static std::shared_ptr<const Checkpoint> open(const std::string& path);

  /// A configuration without weights: `path` is a config.json (of any name), or a folder that holds one. It has no
  /// tensors.
  static std::shared_ptr<const Checkpoint> open_config(const std::string& path);

  /// What a checkpoint of that configuration would hold: tensors without data. Errors as data_bytes.
  static std::shared_ptr<const Checkpoint> planned(const Checkpoint& config, CheckpointKind kind,
                                                   std::span<const TensorSpec> tensors);

  /// Of a tiled file: what it was made of, whose configuration and names it has.
  CheckpointKind kind() const noexcept { return kind_; }
  bool is_tiled() const noexcept { return tiled_; }
  const std::string& path() const noexcept { return path_; }

  /// In file order.
  std::span<const TensorView> tensors() const noexcept { return tensors_; }
  const TensorView* find(std::string_view name) const noexcept;
  /// Throws Error(format) naming the checkpoint and the tensor.
  const TensorView& require(std::string_view name) const;

  /// Total bytes of tensor data.
  std::uint64_t tensor_bytes() const noexcept;

  /// safetensors: the JSON objects beside the weights; empty when the file is not there.
  const boost::json::object& config() const noexcept { return config_; }
  /// Where config() was read.
  const std::string& config_path() const noexcept { return config_path_; }
  const boost::json::object& generation_config() const noexcept { return generation_config_; }
  const boost::json::object& tokenizer_config() const noexcept { return tokenizer_config_; }
  /// Path of tokenizer.json in a safetensors folder; empty when there is none (also for GGUF).
  const std::string& tokenizer_path() const noexcept { return tokenizer_path_; }
  /// The text of tokenizer.json inside a tiled file; empty when there is none.
  std::string_view tokenizer_text() const noexcept { return tokenizer_text_; }
  /// The chat template of a safetensors folder: chat_template.jinja if it is there, else the string
  /// (or the entry named "default") of tokenizer_config.json's `chat_template`; of a GGUF,
  /// tokenizer.chat_template. Empty when there is none.
  const std::string& chat_template() const noexcept { return chat_template_; }

  /// GGUF: the metadata of the first file. Empty for safetensors.
  const GgufMetadata& metadata() const noexcept { return metadata_; }

  /// False when this is a configuration alone, or a plan.
  bool has_weights() const noexcept { return !files_.empty(); }

  /// What the tensors' views are over.
  std::span<const std::shared_ptr<const base::MappedFile>> files() const noexcept { return files_; }
  /// Throws Error(io) if a file was truncated while it was mapped.
  void check_files() const;

 private:
  Checkpoint() = default;
  friend class CheckpointBuilder;

  CheckpointKind kind_ = CheckpointKind::safetensors;
  bool tiled_ = false;
  std::string path_, config_path_;
  std::vector<std::shared_ptr<const base::MappedFile>> files_;
  std::vector<TensorView> tensors_;
  std::vector<std::uint32_t> by_name_;  // indices into tensors_, sorted by name
  boost::json::object config_, generation_config_, tokenizer_config_;
  std::string tokenizer_path_, chat_template_;
  std::string_view tokenizer_text_;
  GgufMetadata metadata_;
};

}  // namespace minke::formats
