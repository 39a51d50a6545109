#include "formats/tensor_spec.h"

#include "base/bytes.h"
#include "base/error.h"

namespace minke::formats {

std::uint64_t data_bytes(const TensorSpec& spec) {
  const DTypeInfo& type = info(spec.dtype);
  std::uint64_t elements = 1;
  for (const std::uint64_t size : spec.shape) elements = base::checked_mul(elements, size, spec.name);
  const std::uint64_t row = spec.shape.empty() ? 1 : spec.shape.back();
  if (row % type.block_elements != 0)
    throw base::Error(base::ErrorCode::format, base::cat("tensor ", spec.name, ": expected rows of a multiple of ",
                                                         type.block_elements, " for ", type.name, ", got ", row));
  return base::checked_mul(elements / type.block_elements, type.block_bytes, spec.name);
}

}  // namespace minke::formats
