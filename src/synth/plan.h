// What a checkpoint of a configuration consists of, before it exists: for `minke show config.json`, and for writing
// random ones.
#pragma once

#include <memory>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/tensor_spec.h"
#include "models/config.h"
#include "synth/recipe.h"

namespace minke::synth {

/// How a tensor's values come about.
enum class Fill {
  matrix,  ///< normal, of deviation `deviation`
  norm,    ///< 1 + normal
  scales,  ///< of an FP8 matrix that is to have that deviation: positive
  values,  ///< given
};

struct PlannedTensor {
  formats::TensorSpec spec;
  Fill fill = Fill::matrix;
  double deviation = 0;
  std::vector<float> values;
};

struct PlanOptions {
  formats::CheckpointKind kind = formats::CheckpointKind::gguf;
  const Recipe* recipe = nullptr;
  double deviation = 0;  ///< of matrices; 0: 1 / sqrt(inputs), which keeps activations of ordinary size
};

/// Every tensor in the order of the forward pass, then (safetensors) the multi-token prediction layers that published
/// checkpoints carry; their embedding and output matrices are copies of the model's.
std::vector<PlannedTensor> plan_tensors(const models::DecoderConfig& config, const PlanOptions& options);

/// The type that a configuration says its own weights have: fp8 with such a quantization_config, else what dtype or
/// torch_dtype names, else bf16.
const Recipe& own_recipe(const formats::Checkpoint& config);

/// The plan as a checkpoint without data.
std::shared_ptr<const formats::Checkpoint> planned_checkpoint(const formats::Checkpoint& source,
                                                              const models::DecoderConfig& config,
                                                              const PlanOptions& options);

}  // namespace minke::synth
