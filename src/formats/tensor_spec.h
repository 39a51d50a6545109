// A tensor that is to be written: what its entry in a file will say.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/dtype.h"

namespace minke::formats {

struct TensorSpec {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;  ///< outermost first
};

/// Bytes of a tensor's data. Errors (format) name the tensor: a row that is no whole number of blocks, a product beyond
/// 64 bits.
std::uint64_t data_bytes(const TensorSpec& spec);

/// Where everything of a file goes: `header` at 0, tensor i at offsets[i], zeros between.
struct FileLayout {
  std::string header;
  std::vector<std::uint64_t> offsets;
  std::uint64_t size = 0;
};

}  // namespace minke::formats
