#include "models/blocks.h"

#include <cmath>

namespace minke::models {

void attend_gqa(const StepContext& step, const GqaWeights& weights, std::size_t layer_offset) {
  const kernels::Ops& ops = step.ops;
  const AttentionConfig& a = step.config.attention;
  Workspace& ws = step.workspace;
  const std::size_t rows = step.rows.size();
  const auto hidden = static_cast<std::size_t>(step.config.hidden_size);
  const auto heads = static_cast<std::size_t>(a.heads);
  const auto kv_heads = static_cast<std::size_t>(a.kv_heads);
  const auto head_dim = static_cast<std::size_t>(a.head_dim);
  const std::size_t q_size = heads * head_dim;
  const std::size_t kv_size = kv_heads * head_dim;
  const std::size_t half = static_cast<std::size_t>(a.rope.dim) / 2;

  kernels::Product qkv[] = {
      kernels::Ops::product(ws.activations, weights.q.weight, weights.q.bias_or_null(), ws.q.data(), q_size),
      kernels::Ops::product(ws.activations, weights.k.weight, weights.k.bias_or_null(), ws.k.data(), kv_size),
      kernels::Ops::product(ws.activations, weights.v.weight, weights.v.bias_or_null(), ws.v.data(), kv_size)};
  ops.linear(qkv);
  if (a.qk_norm) {
    const auto eps = static_cast<float>(step.config.rms_norm_eps);
    ops.rms_norm_heads(ws.q.data(), rows, q_size, heads, head_dim, weights.q_norm.data(), eps);
    ops.rms_norm_heads(ws.k.data(), rows, kv_size, kv_heads, head_dim, weights.k_norm.data(), eps);
  }
  ops.rope(ws.q.data(), rows, q_size, heads, head_dim, half, ws.cos.data(), ws.sin.data());
  ops.rope(ws.k.data(), rows, kv_size, kv_heads, head_dim, half, ws.cos.data(), ws.sin.data());
  ops.store_kv(step.kv_layout, layer_offset, step.rows, step.sequences, ws.k.data(), kv_size, ws.v.data(), kv_size);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  ops.attention(step.kv_layout, layer_offset, step.rows, step.sequences, heads, ws.q.data(), q_size, scale,
                ws.attended.data(), q_size, ws.attention_parts);
  ops.prepare(ws.attended.data(), rows, q_size, q_size, ws.activations, ops.forms_for(weights.o.weight));
  ops.linear(ws.activations, weights.o.weight, weights.o.bias_or_null(), ws.delta.data(), hidden);
}

}  // namespace minke::models
