// `minke bench --kernels`: the products alone, per weight type and number of rows, beside what the machine can do.
#pragma once

#include <functional>
#include <vector>

#include "cli/record.h"
#include "formats/dtype.h"
#include "kernels/isa.h"
#include "kernels/numerics.h"

namespace minke::cli {

struct KernelSettings {
  kernels::Isa isa = kernels::Isa::scalar;
  kernels::Numerics numerics = kernels::Numerics::fast;
  std::vector<std::size_t> rows = {1, 8, 64, 512};
  std::vector<std::size_t> threads;
  std::vector<formats::DType> types;  ///< empty: every type that can be packed
};

/// Y = X W^T of `rows` x 1536 by (8960 x 1536), Qwen2.5-1.5B's feed-forward; with few rows over enough copies of W
/// that weights come from memory, as they do while decoding. False when `stopped` said so.
bool run_kernels(const KernelSettings& settings, const std::function<bool()>& stopped,
                 const std::function<void(const Record&)>& sink);
std::vector<TableColumn> kernel_columns();

/// Every type that Ops::linear takes.
std::vector<formats::DType> packable_types();

}  // namespace minke::cli
