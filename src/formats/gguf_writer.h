// The header of a GGUF v3 file that is to be written. Format: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "formats/tensor_spec.h"

namespace minke::formats {

/// A key with the type that it is written as; readers are strict about it.
struct GgufEntry {
  std::string key;
  std::variant<bool, std::uint32_t, float, std::string> value;
};

/// Tensors in the order given, each aligned to 32 bytes. Errors (format) as data_bytes; unsupported for a type that a
/// GGUF cannot hold; both name the tensor.
FileLayout lay_out_gguf(std::span<const GgufEntry> metadata, std::span<const TensorSpec> tensors);

}  // namespace minke::formats
