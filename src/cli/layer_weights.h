// One decoder layer at full size with weights without meaning, for measuring models that this machine cannot hold.
#pragma once

#include <cstdint>
#include <functional>

#include "base/thread_pool.h"
#include "formats/dtype.h"
#include "models/config.h"
#include "models/weights.h"

namespace minke::cli {

/// `config` with its last layer alone, and without embedding and output.
models::DecoderConfig one_layer(const models::DecoderConfig& config);

/// The type that a matrix is made in: `wanted` for projections and experts where its blocks divide the inputs, else
/// BF16; BF16 for the router and for the absorbed key projections, which is what loading such a file gives.
formats::DType layer_dtype(models::Role role, std::int64_t cols, formats::DType wanted);

/// Bytes of the packed layer, and what it is made of.
struct LayerBytes {
  std::uint64_t attention = 0;  ///< read by every step
  std::uint64_t shared = 0;     ///< of the feed-forward: dense, shared experts, router
  std::uint64_t expert = 0;     ///< of one routed expert
  std::uint64_t experts = 0;    ///< of all

  std::uint64_t total() const { return attention + shared + experts; }
};
LayerBytes measure_layer(const models::DecoderConfig& layer, formats::DType dtype);

/// Makes the weights of a one-layer configuration in packed form, one matrix at a time.
models::LayerWeights random_layer(const models::DecoderConfig& layer, formats::DType dtype, base::ThreadPool& pool,
                                  const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

}  // namespace minke::cli
