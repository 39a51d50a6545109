// What a model will need, decided before anything is loaded.
#pragma once

#include <cstdint>

#include "kernels/kv_layout.h"
#include "models/config.h"
#include "models/estimate.h"

namespace minke::engine {

struct MemoryPlan {
  std::size_t context = 0;
  std::uint64_t weight_bytes = 0;
  bool weights_mapped = false;  ///< a tiled file's: pages of the file, which need not all be in memory
  std::uint64_t kv_bytes_per_token = 0;
  std::uint64_t workspace_bytes = 0;
  /// What must fit at the same time.
  std::uint64_t total() const {
    return (weights_mapped ? 0 : weight_bytes) + workspace_bytes + context * kv_bytes_per_token;
  }
};

/// Chooses the context (`wanted`, or for 0 what fits up to the trained length, in whole blocks) and checks
/// that everything fits into `available` bytes. Mapped weights are left room for, but are no reason to refuse: a model
/// larger than the memory runs at the speed of the disk. Error(out_of_memory) says what is needed, what there is and
/// what would fit.
MemoryPlan plan_memory(const models::DecoderConfig& config, const models::ModelSizes& sizes, kernels::KvType kv_type,
                       std::size_t wanted, std::size_t chunk, std::uint64_t available);

}  // namespace minke::engine
