#include "models/workspace.h"

#include <algorithm>

#include "models/estimate.h"

namespace minke::models {

namespace {

/// Rows whose past threads may share at once, as far as their records take no more than 16 MB: with more rows there
/// are tasks enough.
constexpr std::size_t kSharedRows = 4;
constexpr std::size_t kSharedFloats = std::size_t{1} << 22;

/// int8 activations take 64 bytes per 32 inputs, and where blocks of 256 are read 384 for each of those.
std::uint64_t activation_bytes(std::uint64_t rows, std::uint64_t cols) {
  return rows * ((cols / 32 + 1) * 64 + cols / 256 * 384);
}

}  // namespace

WorkspaceSizes::WorkspaceSizes(const DecoderConfig& config) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const AttentionConfig& a = config.attention;
  const MoeConfig& moe = config.feed_forward.moe;
  hidden = size(config.hidden_size);
  angles = size(a.rope.dim / 2);
  q = size(a.heads * a.head_dim);
  blocks = 1;
  if (a.kind == AttentionKind::mla) {
    k = size(a.mla.kv_lora_rank + a.mla.qk_rope_head_dim);
    q_low = size(a.mla.q_lora_rank);
    q_latent = size(a.heads) * ((k + 15) / 16 * 16);
    latent_out = size(a.heads * a.mla.kv_lora_rank);
    attended = size(a.heads * a.mla.v_head_dim);
    blocks = size(a.heads);
  } else {
    k = v = size(a.kv_heads * a.head_dim);
    attended = q;
  }
  const auto& kinds = config.feed_forward.kinds;
  if (std::find(kinds.begin(), kinds.end(), FeedForwardKind::dense) != kinds.end())
    inner = size(config.feed_forward.intermediate_size);
  if (std::find(kinds.begin(), kinds.end(), FeedForwardKind::moe) != kinds.end()) {
    inner = std::max(inner, size(moe.shared_intermediate_size));
    experts = size(moe.n_routed_experts);
    top_k = size(moe.num_experts_per_tok);
    expert_inner = size(moe.moe_intermediate_size);
    blocks = std::max(blocks, experts + 1);
  }
  const kernels::KvLayout layout = kv_layout(config, kernels::KvType::bf16);
  const auto parts = [&](std::size_t rows) {
    return kernels::Ops::attention_parts(layout, size(a.heads), rows, size(config.max_position_embeddings));
  };
  attention_parts = std::max(parts(1), std::min(parts(kSharedRows), kSharedFloats));
  widest = std::max({hidden, attended, q_low});
  // Products over heads prepare a row per head.
  if (a.kind == AttentionKind::mla) {
    head_rows = size(a.heads);
    head_inputs = std::max(size(a.mla.kv_lora_rank), size(a.mla.qk_nope_head_dim));
  }
}

std::uint64_t WorkspaceSizes::bytes(std::size_t rows) const {
  const std::size_t floats = 3 * hidden + q + k + v + q_low + q_latent + latent_out + attended + inner + 2 * angles +
                             experts + top_k * (2 * hidden + expert_inner + 4);
  return (static_cast<std::uint64_t>(rows) * floats + attention_parts) * sizeof(float) +
         activation_bytes(rows, widest) + activation_bytes(rows * head_rows, head_inputs) +
         activation_bytes(rows, inner) + activation_bytes(rows * top_k, hidden) +
         activation_bytes(rows * top_k, expert_inner) +
         blocks * (sizeof(kernels::RowBlock) + sizeof(kernels::Product) + sizeof(kernels::GatedProduct));
}

Workspace::Workspace(const DecoderConfig& config, std::size_t rows_wanted)
    : max_rows(rows_wanted), tokens(rows_wanted), rows(rows_wanted) {
  const WorkspaceSizes sizes(config);
  activations = {max_rows, sizes.widest};
  head_activations = {max_rows * sizes.head_rows, sizes.head_inputs};
  joined = {max_rows, sizes.inner};
  slot_activations = {max_rows * sizes.top_k, sizes.top_k == 0 ? 0 : sizes.hidden};
  slot_joined = {max_rows * sizes.top_k, sizes.expert_inner};
  hidden.resize(max_rows * sizes.hidden);
  normed.resize(max_rows * sizes.hidden);
  delta.resize(max_rows * sizes.hidden);
  q.resize(max_rows * sizes.q);
  k.resize(max_rows * sizes.k);
  v.resize(max_rows * sizes.v);
  q_low.resize(max_rows * sizes.q_low);
  q_latent.resize(max_rows * sizes.q_latent);
  latent_out.resize(max_rows * sizes.latent_out);
  attended.resize(max_rows * sizes.attended);
  gated_y.resize(max_rows * sizes.inner);
  attention_parts.resize(sizes.attention_parts);
  cos.resize(max_rows * sizes.angles);
  sin.resize(max_rows * sizes.angles);
  blocks.reserve(sizes.blocks);
  products.reserve(sizes.blocks);
  gated.reserve(sizes.blocks);
  const std::size_t slots = max_rows * sizes.top_k;
  plan.scores.resize(max_rows * sizes.experts);
  plan.ids.resize(slots);
  plan.weights.resize(slots);
  plan.slots.resize(slots);
  plan.slot_rows.resize(slots);
  plan.first.resize(sizes.experts == 0 ? 0 : sizes.experts + 1);
  plan.in.resize(slots * sizes.hidden);
  plan.joined.resize(slots * sizes.expert_inner);
  plan.out.resize(slots * sizes.hidden);
}

}  // namespace minke::models
