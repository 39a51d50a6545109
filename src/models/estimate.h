// Sizes of a model from its configuration and its tensors' types alone: nothing is loaded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/kv_layout.h"
#include "kernels/numerics.h"
#include "models/config.h"

namespace minke::models {

/// Tensors of one role and one type: "attention projections", Q4_K, ...
struct TensorGroup {
  std::string role;  ///< embedding, attention, feed-forward, norms, output
  formats::DType dtype = formats::DType::f32;
  std::size_t tensors = 0;
  std::uint64_t parameters = 0;  ///< scales of FP8 weights are none
  std::uint64_t bytes = 0;       ///< in the file
  /// As in ModelSizes, of this group.
  std::uint64_t active_parameters = 0, bytes_per_token = 0;
};

struct ModelSizes {
  std::uint64_t parameters = 0;
  std::uint64_t active_parameters = 0;  ///< that take part in one token (an embedding row counts as one row)
  std::uint64_t file_bytes = 0;
  std::uint64_t weight_bytes = 0;     ///< once packed in memory
  std::uint64_t bytes_per_token = 0;  ///< weights read for one decoded token
  /// The weights stay in their file's map (a tiled file): their pages can be dropped and read again.
  bool mapped = false;
  std::vector<TensorGroup> groups;

  /// Of the multi-token prediction layers, which are not run: they are in none of the numbers above.
  struct {
    std::size_t tensors = 0;
    std::uint64_t parameters = 0, bytes = 0;
  } nextn;
};

/// Also of a checkpoint that is only planned. `numerics`: what the weights will be loaded for (load_weights). Error
/// (format) when a tensor that the architecture needs is missing or has another shape.
ModelSizes measure(const formats::Checkpoint& checkpoint, const DecoderConfig& config, kernels::Numerics numerics);

/// How a layer's keys and values lie in a block of the cache.
kernels::KvLayout kv_layout(const DecoderConfig& config, kernels::KvType type);

std::uint64_t kv_bytes_per_token(const DecoderConfig& config, kernels::KvType type);
/// Activations and scratch for steps of `rows` rows.
std::uint64_t workspace_bytes(const DecoderConfig& config, std::size_t rows);

}  // namespace minke::models
