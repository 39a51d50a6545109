#include <algorithm>
#include <cmath>

#include "models/blocks.h"

namespace minke::models {

namespace {

/// Of the norms inside the latent projections: the released code builds them with its class's default, whatever
/// rms_norm_eps says.
constexpr float kLatentNormEps = 1e-6f;

struct MlaShape {
  explicit MlaShape(const AttentionConfig& a)
      : heads(static_cast<std::size_t>(a.heads)),
        nope(static_cast<std::size_t>(a.mla.qk_nope_head_dim)),
        rope(static_cast<std::size_t>(a.mla.qk_rope_head_dim)),
        value(static_cast<std::size_t>(a.mla.v_head_dim)),
        rank(static_cast<std::size_t>(a.mla.kv_lora_rank)) {}
  std::size_t head() const { return nope + rope; }
  std::size_t q() const { return heads * head(); }
  std::size_t latent() const { return rank + rope; }
  std::size_t heads, nope, rope, value, rank;
};

/// The products of the block's input: the latent (workspace.k), and the queries or what they are made of.
void project_inputs(const StepContext& step, const MlaWeights& weights, const MlaShape& shape) {
  Workspace& ws = step.workspace;
  const auto low = static_cast<std::size_t>(step.config.attention.mla.q_lora_rank);
  kernels::Product products[] = {
      kernels::Ops::product(ws.activations, weights.kv_a.weight, nullptr, ws.k.data(), shape.latent()),
      weights.q_a.weight.empty()
          ? kernels::Ops::product(ws.activations, weights.q.weight, nullptr, ws.q.data(), shape.q())
          : kernels::Ops::product(ws.activations, weights.q_a.weight, nullptr, ws.q_low.data(), low)};
  step.ops.linear(products);
}

/// workspace.q (rows, heads * (nope + rope)), rotated.
void project_queries(const StepContext& step, const MlaWeights& weights, const MlaShape& shape) {
  const kernels::Ops& ops = step.ops;
  Workspace& ws = step.workspace;
  const std::size_t rows = step.rows.size();
  if (!weights.q_a.weight.empty()) {
    const auto low = static_cast<std::size_t>(step.config.attention.mla.q_lora_rank);
    ops.rms_norm(ws.q_low.data(), rows, low, low, weights.q_a_norm.data(), kLatentNormEps, ws.q_low.data(), low);
    ops.prepare(ws.q_low.data(), rows, low, low, ws.activations, ops.forms_for(weights.q_b.weight));
    ops.linear(ws.activations, weights.q_b.weight, nullptr, ws.q.data(), shape.q());
  }
  ops.rope(ws.q.data() + shape.nope, rows, shape.q(), shape.heads, shape.head(), shape.rope / 2, ws.cos.data(),
           ws.sin.data());
}

/// workspace.k (rows, rank + rope): the normed latent, then the rotated key that all heads share; stored.
void project_latent(const StepContext& step, const MlaWeights& weights, const MlaShape& shape,
                    std::size_t layer_offset) {
  const kernels::Ops& ops = step.ops;
  Workspace& ws = step.workspace;
  const std::size_t rows = step.rows.size();
  const std::size_t latent = shape.latent();
  ops.rms_norm(ws.k.data(), rows, shape.rank, latent, weights.kv_a_norm.data(), kLatentNormEps, ws.k.data(), latent);
  ops.rope(ws.k.data() + shape.rank, rows, latent, /*heads=*/1, latent, shape.rope / 2, ws.cos.data(), ws.sin.data());
  ops.store_latent(step.kv_layout, layer_offset, step.rows, step.sequences, ws.k.data(), latent);
}

/// y[r][h] = x[r][h] W_h^T for every head in one stage; rows of x are ldx apart, heads x_head; likewise y.
void multiply_heads(const StepContext& step, const std::vector<kernels::PackedMatrix>& weights, const float* x,
                    std::size_t ldx, std::size_t x_head, float* y, std::size_t ldy, std::size_t y_head) {
  Workspace& ws = step.workspace;
  const std::size_t rows = step.rows.size();
  ws.blocks.clear();
  ws.products.clear();
  for (std::size_t h = 0; h < weights.size(); ++h) {
    ws.blocks.push_back({.x = x + h * x_head, .first = h * rows, .rows = rows});
    ws.products.push_back(
        {.x = &ws.head_activations, .block = ws.blocks.back(), .weight = &weights[h], .y = y + h * y_head, .ldy = ldy});
  }
  step.ops.prepare(ws.blocks, weights[0].cols(), ldx, ws.head_activations, step.ops.forms_for(weights[0]));
  step.ops.linear(ws.products);
}

/// The rotated parts behind the absorbed queries, and the pad's zeros.
void append_rotated(const StepContext& step, const MlaShape& shape) {
  Workspace& ws = step.workspace;
  const std::size_t stride = step.kv_layout.k_stride();
  const auto one_row = [&](std::size_t r) {
    for (std::size_t h = 0; h < shape.heads; ++h) {
      const float* rotated = ws.q.data() + r * shape.q() + h * shape.head() + shape.nope;
      float* out = ws.q_latent.data() + (r * shape.heads + h) * stride;
      std::copy_n(rotated, shape.rope, out + shape.rank);
      std::fill(out + shape.latent(), out + stride, 0.0f);
    }
  };
  step.ops.pool().run(step.rows.size(), one_row);
}

}  // namespace

void attend_mla(const StepContext& step, const MlaWeights& weights, std::size_t layer_offset) {
  const kernels::Ops& ops = step.ops;
  const MlaShape shape(step.config.attention);
  Workspace& ws = step.workspace;
  const std::size_t rows = step.rows.size();
  const auto hidden = static_cast<std::size_t>(step.config.hidden_size);
  const std::size_t stride = step.kv_layout.k_stride();

  project_inputs(step, weights, shape);
  project_latent(step, weights, shape, layer_offset);
  project_queries(step, weights, shape);
  multiply_heads(step, weights.k_b, ws.q.data(), shape.q(), shape.head(), ws.q_latent.data(), shape.heads * stride,
                 stride);
  append_rotated(step, shape);

  const double mscale = step.config.attention.mla.softmax_mscale;
  const auto scale = static_cast<float>(mscale * mscale / std::sqrt(static_cast<double>(shape.head())));
  ops.attention(step.kv_layout, layer_offset, step.rows, step.sequences, shape.heads, ws.q_latent.data(),
                shape.heads * stride, scale, ws.latent_out.data(), shape.heads * shape.rank, ws.attention_parts);
  multiply_heads(step, weights.v_b, ws.latent_out.data(), shape.heads * shape.rank, shape.rank, ws.attended.data(),
                 shape.heads * shape.value, shape.value);
  ops.prepare(ws.attended.data(), rows, shape.heads * shape.value, shape.heads * shape.value, ws.activations,
              ops.forms_for(weights.o.weight));
  ops.linear(ws.activations, weights.o.weight, nullptr, ws.delta.data(), hidden);
}

}  // namespace minke::models
