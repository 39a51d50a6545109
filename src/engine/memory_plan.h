// What a model will need, decided before anything is loaded.
#pragma once

#include <cstdint>

#include "kernels/kv_layout.h"
#include "models/config.h"
#include "models/estimate.h"

namespace minke::engine {

/// What is asked for.
struct MemoryRequest {
  std::size_t context = 0;       ///< tokens of one request; 0: what fits, up to the trained length
  std::size_t cache_tokens = 0;  ///< of all; 0: chosen
  std::size_t sequences = 1;     ///< replies at once
  std::size_t rows = 512;        ///< of a step
  std::size_t logit_rows = 1;    ///< of a step, each a vocabulary
  std::uint64_t available = 0;   ///< bytes
};

struct MemoryPlan {
  std::size_t context = 0;
  std::size_t cache_tokens = 0;  ///< whole blocks, at least the context
  std::uint64_t weight_bytes = 0;
  bool weights_mapped = false;  ///< a tiled file's: pages of the file, which need not all be in memory
  std::uint64_t kv_bytes_per_token = 0;
  std::uint64_t workspace_bytes = 0;
  /// What must fit at the same time.
  std::uint64_t total() const {
    return (weights_mapped ? 0 : weight_bytes) + workspace_bytes + cache_tokens * kv_bytes_per_token;
  }
};

/// Chooses the context (as asked, or what fits up to the trained length, in whole blocks) and the cache (as asked, or a
/// context for each sequence as far as half of what is left then allows) and checks that everything fits into what is
/// available. Mapped weights are left room for, but are no reason to refuse: a model larger than the memory runs at the
/// speed of the disk. Error(out_of_memory) says what is needed, what there is and what would fit.
MemoryPlan plan_memory(const models::DecoderConfig& config, const models::ModelSizes& sizes, kernels::KvType kv_type,
                       const MemoryRequest& request);

}  // namespace minke::engine
