// The weights of a decoder as typed structs. Names of files are resolved once, at load; the layer loop
// never sees a string.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "formats/checkpoint.h"
#include "kernels/packed_matrix.h"
#include "models/config.h"

namespace minke::models {

/// y = x W^T (+ bias); bias empty when there is none.
struct Linear {
  kernels::PackedMatrix weight;
  std::vector<float> bias;
  const float* bias_or_null() const noexcept { return bias.empty() ? nullptr : bias.data(); }
};

struct GqaWeights {
  Linear q, k, v, o;
  std::vector<float> q_norm, k_norm;  ///< (head_dim), empty without qk_norm
};

/// Latent attention, absorbed: k_b and v_b are kv_b_proj's two halves, head by head.
struct MlaWeights {
  Linear q;                                ///< (heads * (nope + rope), hidden_size), without q_lora_rank
  Linear q_a, q_b;                         ///< (q_lora_rank, hidden_size), (heads * (nope + rope), q_lora_rank)
  std::vector<float> q_a_norm;             ///< (q_lora_rank)
  Linear kv_a;                             ///< (kv_lora_rank + rope, hidden_size)
  std::vector<float> kv_a_norm;            ///< (kv_lora_rank)
  std::vector<kernels::PackedMatrix> k_b;  ///< per head (kv_lora_rank, nope): a query into the latent space
  std::vector<kernels::PackedMatrix> v_b;  ///< per head (v_head_dim, kv_lora_rank): the latent into a value
  Linear o;                                ///< (hidden_size, heads * v_head_dim)
};

struct DenseWeights {
  Linear gate, up, down;
};

struct MoeWeights {
  Linear router;                   ///< (n_routed_experts, hidden_size)
  std::vector<float> router_bias;  ///< (n_routed_experts): e_score_correction_bias, for the choice alone
  std::vector<kernels::PackedMatrix> gate, up, down;  ///< per expert
  DenseWeights shared;                                ///< empty without shared experts
};

struct LayerWeights {
  std::vector<float> attention_norm;  ///< (hidden_size)
  std::variant<GqaWeights, MlaWeights> attention;
  std::vector<float> feed_forward_norm;  ///< (hidden_size)
  std::variant<DenseWeights, MoeWeights> feed_forward;
};

struct DecoderWeights {
  Linear embedding;  ///< (vocab_size, hidden_size)
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  ///< (hidden_size)
  Linear output;                   ///< (vocab_size, hidden_size); empty when tied to the embedding

  /// Tiled files that matrices lie in.
  std::vector<std::shared_ptr<const base::MappedFile>> files;

  const Linear& output_or_embedding() const noexcept { return output.weight.empty() ? embedding : output; }
};

/// What a tensor is for. Roles of a layer take its number into their names.
enum class Role {
  embedding,
  output_norm,
  output,
  attention_norm,
  q,
  k,
  v,
  o,
  q_norm,
  k_norm,
  feed_forward_norm,
  gate,
  up,
  down,
  q_a,
  q_a_norm,
  q_b,
  kv_a,
  kv_a_norm,
  kv_b,
  k_b,
  v_b,
  router,
  router_bias,
  expert_gate,
  expert_up,
  expert_down,
  shared_gate,
  shared_up,
  shared_down,
};

/// The group a role is shown under: "embedding", "attention", "feed-forward", "norms", "output".
std::string_view group_name(Role role);

/// A tensor's name in a file, without ".weight" or ".bias". `expert`: of roles whose tensors are per expert in
/// safetensors (a GGUF stacks them).
std::string tensor_name(Role role, std::int64_t layer, formats::CheckpointKind kind, std::int64_t expert = 0);
/// What follows it where the values are: ".weight", or the router bias's own.
std::string_view weight_suffix(Role role, formats::CheckpointKind kind);

/// Receives every tensor that a configuration calls for, in the order of the forward pass.
class WeightVisitor {
 public:
  virtual ~WeightVisitor() = default;
  /// W of [rows][cols] with a bias of (rows) if `bias`.
  virtual void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear& out) = 0;
  virtual void vector(Role role, std::int64_t layer, std::int64_t size, std::vector<float>& out) = 0;
  /// `count` matrices of [rows][cols], one per expert.
  virtual void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
                       std::vector<kernels::PackedMatrix>& out) = 0;
  /// k_b and v_b, from kv_b_proj [heads * (nope + value)][kv_lora_rank] or from a GGUF's two halves.
  virtual void latent_heads(std::int64_t layer, MlaWeights& out) = 0;
};

/// The one list of what a decoder consists of: loading and measuring both walk it.
void visit_weights(const DecoderConfig& config, DecoderWeights& weights, WeightVisitor& visitor);

}  // namespace minke::models
