#include "models/blocks.h"

namespace minke::models {

kernels::GatedProduct gated_product(const StepContext& step, const DenseWeights& weights, std::int64_t inner_size) {
  Workspace& ws = step.workspace;
  const std::size_t rows = step.rows.size();
  const auto inner = static_cast<std::size_t>(inner_size);
  step.ops.begin(ws.gated_y.data(), rows, inner, inner, ws.joined, step.ops.forms_for(weights.down.weight));
  return {.x = &ws.activations,
          .block = {.x = ws.normed.data(), .first = 0, .rows = rows},
          .gate = &weights.gate.weight,
          .up = &weights.up.weight,
          .gate_bias = weights.gate.bias_or_null(),
          .up_bias = weights.up.bias_or_null(),
          .y = ws.gated_y.data(),
          .ldy = inner,
          .out = &ws.joined};
}

void feed_forward_dense(const StepContext& step, const DenseWeights& weights, std::int64_t inner_size) {
  Workspace& ws = step.workspace;
  kernels::GatedProduct gated = gated_product(step, weights, inner_size);
  step.ops.gated(std::span(&gated, 1));
  step.ops.linear(ws.joined, weights.down.weight, weights.down.bias_or_null(), ws.delta.data(),
                  static_cast<std::size_t>(step.config.hidden_size));
}

}  // namespace minke::models
