// The header of a safetensors file that is to be written, and the index of a sharded folder. Format:
// huggingface/safetensors README.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_spec.h"

namespace minke::formats {

/// Tensors in the order given, without holes, the first aligned to 8 bytes. Errors (format) as data_bytes; unsupported
/// for GGUF's quantised types.
FileLayout lay_out_safetensors(std::span<const TensorSpec> tensors);

/// How tensors are spread over files: consecutive ones together until a file has `shard_bytes` (one larger tensor gets
/// a file of its own).
struct Shard {
  std::string file;  ///< "model.safetensors", or "model-00001-of-00163.safetensors"
  std::size_t first = 0, count = 0;
};
std::vector<Shard> cut_into_shards(std::span<const TensorSpec> tensors, std::uint64_t shard_bytes);

/// The text of model.safetensors.index.json.
std::string safetensors_index(std::span<const TensorSpec> tensors, std::span<const Shard> shards);

}  // namespace minke::formats
