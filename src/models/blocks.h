// The blocks that decoder layers are made of. Each reads workspace.normed, which is prepared in
// workspace.activations, and leaves in workspace.delta what is to be added to workspace.hidden.
#pragma once

#include <cstddef>

#include "models/decoder.h"

namespace minke::models {

/// Grouped-query attention (Ainslie et al. 2023) with rotary embedding, optional biases, optional norms of
/// the heads of q and k. `layer_offset`: bytes from a cache block's start to this layer's part.
void attend_gqa(const StepContext& step, const GqaWeights& weights, std::size_t layer_offset);

/// Multi-head latent attention (DeepSeek-V2, section 2.1), absorbed: queries go into the latent space, the cache
/// keeps the normed latent and the rotated key alone.
void attend_mla(const StepContext& step, const MlaWeights& weights, std::size_t layer_offset);

/// down(silu(gate(x)) * up(x)) (Shazeer 2020), `inner` wide.
void feed_forward_dense(const StepContext& step, const DenseWeights& weights, std::int64_t inner);

/// Its first half, silu(gate(x)) * up(x) into workspace.joined, as one product of a stage.
kernels::GatedProduct gated_product(const StepContext& step, const DenseWeights& weights, std::int64_t inner);

/// The chosen experts' outputs, weighted and summed in order of rank, and the shared experts' (DeepSeekMoE).
void feed_forward_moe(const StepContext& step, const MoeWeights& weights);

/// Experts of a layer at most: what routing holds on the stack.
inline constexpr std::int64_t kMaxExperts = 2048;

/// Chooses experts for one token from the router's outputs. ids, weights: num_experts_per_tok each, best first;
/// equal scores by id. `scores` is overwritten. `bias`: e_score_correction_bias, or null.
/// Error(numeric) when a score is not finite.
void route(const MoeConfig& moe, std::span<float> scores, const float* bias, std::int32_t* ids, float* weights);

/// Its two halves, for rows in parallel: the check, of rows of `experts` scores, and the choice, which cannot fail.
void check_router_scores(std::span<const float> scores, std::size_t experts);
void choose_experts(const MoeConfig& moe, std::span<float> scores, const float* bias, std::int32_t* ids,
                    float* weights) noexcept;

}  // namespace minke::models
