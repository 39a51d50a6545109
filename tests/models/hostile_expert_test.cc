// Mixtures of experts that contradict themselves.
#include <cmath>
#include <limits>

#include "models/hostile_checkpoint.h"

namespace minke::models::testing {

namespace {

const std::string kV3 = "tiny_moe/deepseek_v3", kV2 = "tiny_moe/deepseek_v2", kMoe16 = "tiny_moe/deepseek",
                  kGlm = "tiny_moe/glm4_moe_lite", kQwen = "tiny_moe/qwen3_moe_mixed",
                  kMtp = "tiny_moe/deepseek_v3_mtp", kGguf = "tiny_moe_gguf/deepseek_v3.gguf",
                  kQwenGguf = "tiny_moe_gguf/qwen3_moe.gguf", kLiteGguf = "tiny_moe_gguf/deepseek_v2_lite.gguf";
const std::string kLayer = "model.layers.1.mlp.";
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

using Cases = std::vector<HostileCheckpoint>;
namespace json = boost::json;

/// Counts that no reader can accept, whatever the tensors say.
void impossible_counts(Cases& cases) {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40, kHuge, -kHuge}) {
    for (const char* key :
         {"n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "n_group", "topk_group"})
      cases.push_back(with_key(kV3, key, value));
    if (value != 0)
      for (const char* key : {"n_shared_experts", "first_k_dense_replace", "num_nextn_predict_layers"})
        cases.push_back(with_key(kV3, key, value));
    for (const char* key : {"expert_count", "expert_used_count", "expert_feed_forward_length", "expert_group_count"})
      cases.push_back(with_int(kGguf, base::cat("deepseek2.", key), value, std::string(key)));
  }
  cases.push_back(with_key(kV3, "n_routed_experts", 20.5));
  cases.push_back(with_key(kV3, "n_routed_experts", "twenty"));
  cases.push_back(with_key(kV3, "routed_scaling_factor", -1.0));
  cases.push_back(with_key(kV3, "routed_scaling_factor", 1e30));
  cases.push_back(with_key(kV3, "norm_topk_prob", "yes"));
  cases.push_back(with_gguf_key(kGguf, "deepseek2.expert_weights_scale", formats::GgufValue(double{kNan}), "nan"));
  cases.push_back(with_gguf_key(kGguf, "deepseek2.expert_weights_norm", formats::GgufValue(std::int64_t{1}), "1"));
  cases.push_back(with_gguf_key(kGguf, "deepseek2.expert_count", formats::GgufValue(std::string("20")), "\"20\""));
  cases.push_back(with_int(kGguf, "deepseek2.expert_gating_func", 3));
  cases.push_back(with_int(kGguf, "deepseek2.nextn_predict_layers", 2));
  cases.push_back(with_int(kGguf, "deepseek2.nextn_predict_layers", 64));
  cases.push_back(with_int(kGguf, "deepseek2.nextn_predict_layers", -1));
}

void disagreeing_counts(Cases& cases) {
  cases.push_back(with_key(kV3, "num_experts_per_tok", 21));
  cases.push_back(with_key(kV3, "num_experts_per_tok", 13));  // 3 groups of 4 reach 12
  cases.push_back(with_key(kV3, "n_group", 3));
  cases.push_back(with_key(kV3, "n_group", 40));
  cases.push_back(with_key(kV3, "topk_group", 6));
  cases.push_back(with_key(kV2, "n_group", 4));
  cases.push_back(with_key(kV2, "topk_group", 4));
  cases.push_back(with_int(kGguf, "deepseek2.expert_group_count", 7, "n_group"));
  cases.push_back(with_int(kGguf, "deepseek2.expert_group_used_count", 6, "topk_group"));
  cases.push_back(with_int(kGguf, "deepseek2.expert_used_count", 21, "num_experts_per_tok"));
  cases.push_back(with_key(kV3, "n_routed_experts", 15, kLayer + "gate.weight"));
  cases.push_back(with_key(kV3, "n_routed_experts", 2000, kLayer + "gate.weight"));
  cases.push_back(with_int(kGguf, "deepseek2.expert_count", 25, "blk.1.ffn_gate_inp.weight"));
  cases.push_back(with_int(kQwenGguf, "qwen3moe.expert_count", 12, "blk.0.ffn_gate_inp.weight"));
  cases.push_back(with_key(kV3, "moe_intermediate_size", 15, kLayer + "experts.0.gate_proj.weight"));
  cases.push_back(with_int(kGguf, "deepseek2.expert_feed_forward_length", 13, "blk.1.ffn_gate_exps.weight"));
  cases.push_back(with_key(kV3, "n_shared_experts", 2, kLayer + "shared_experts.gate_proj.weight"));
  cases.push_back(with_key(kV3, "n_shared_experts", 0, kLayer + "shared_experts."));
  cases.push_back(with_int(kLiteGguf, "deepseek2.expert_shared_count", 1, "blk.1.ffn_gate_shexp.weight"));
  cases.push_back(with_key(kV3, "topk_method", "greedy", "scoring_func"));
  cases.back().change = [](test::CheckpointCopy& c) {
    c.config["topk_method"] = "greedy";
    c.config["scoring_func"] = "sigmoid";
  };
  cases.push_back(with_key(kV2, "topk_method", "noaux_tc", "e_score_correction_bias"));
  cases.push_back(with_int(kGguf, "deepseek2.expert_gating_func", 1, "blk.1.exp_probs_b.bias"));
  cases.push_back(with_int(kLiteGguf, "deepseek2.expert_gating_func", 2, "blk.1.exp_probs_b.bias"));
}

void layer_kinds(Cases& cases) {
  cases.push_back(with_key(kV3, "first_k_dense_replace", 0, "model.layers.0.mlp.gate.weight"));
  cases.push_back(with_key(kV3, "first_k_dense_replace", 2, kLayer + "gate_proj.weight"));
  cases.push_back(with_key(kV3, "first_k_dense_replace", 99, kLayer + "gate_proj.weight"));  // beyond the layers
  cases.push_back(with_key(kV3, "first_k_dense_replace", 5000));
  cases.push_back(with_int(kGguf, "deepseek2.leading_dense_block_count", 99, "blk.1.ffn_gate.weight"));
  cases.push_back(with_key(kV3, "moe_layer_freq", 2));
  cases.push_back(with_key(kV3, "num_hidden_layers", 1, "model.layers.1."));
  cases.push_back(with_key(kV3, "num_hidden_layers", 3, "model.layers.2.input_layernorm.weight"));
  cases.push_back(with_key(kV3, "num_hidden_layers", 4000, "model.layers.2.input_layernorm.weight"));
  cases.push_back(with_key(kMtp, "num_nextn_predict_layers", 0, "model.layers.2."));
  cases.push_back(with_key(kMtp, "num_hidden_layers", 3, "model.layers.3."));
  cases.back().item = "model.layers.2.";  // the prediction layer's extra tensors have no place in a decoder layer
  cases.push_back(with_key(kGlm, "mlp_layer_types", json::array{"dense", "sparse"}));
  cases.push_back(with_key(kGlm, "mlp_layer_types", json::array{"dense", "sparse", "moe"}));
  cases.push_back(with_key(kGlm, "mlp_layer_types", json::array{"dense", "sparse", 1}));
  cases.push_back(
      with_key(kGlm, "mlp_layer_types", json::array{"sparse", "sparse", "sparse"}, "model.layers.0.mlp.gate.weight"));
  cases.push_back(with_key(kQwen, "decoder_sparse_step", 0));
  cases.push_back(with_key(kQwen, "decoder_sparse_step", kHuge));
  cases.push_back(with_key(kQwen, "mlp_only_layers", json::array{0, 1, 2, 3}, ".mlp.gate_proj.weight"));
  cases.push_back(with_key(kMoe16, "scoring_func", "sigmoid"));
}

void expert_tensors(Cases& cases) {
  for (const char* which : {"gate_proj", "up_proj", "down_proj"}) {
    const std::string tensor = base::cat(kLayer, "experts.7.", which, ".weight");
    cases.push_back(without(kV3, tensor));
    cases.push_back(reshaped(kV3, tensor, {14, 35}));
    cases.push_back(poked(kV3, tensor, 11, kNan));
    cases.push_back(without(kV3, base::cat(kLayer, "shared_experts.", which, ".weight")));
  }
  cases.push_back(reshaped(kV3, kLayer + "experts.0.gate_proj.weight", {36, 14}));  // transposed
  cases.push_back(reshaped(kV3, kLayer + "experts.0.gate_proj.weight", {504}));
  cases.push_back(reshaped(kV3, kLayer + "experts.19.down_proj.weight", {1, 36, 14}));
  cases.push_back(poked(kV3, kLayer + "experts.19.down_proj.weight", 0, -kInf));
  cases.push_back(copied(kV3, kLayer + "experts.0.up_proj.weight", kLayer + "experts.20.up_proj.weight"));
  cases.push_back(copied(kV3, kLayer + "experts.0.up_proj.weight", kLayer + "experts.00.up_proj.weight"));
  cases.push_back(copied(kV3, kLayer + "experts.0.up_proj.weight", kLayer + "experts.3.up_proj.weight"));  // twice
  cases.push_back(copied(kV3, kLayer + "experts.0.up_proj.weight", kLayer + "experts.0.up_proj.bias"));
  cases.push_back(copied(kV3, kLayer + "experts.0.up_proj.weight", "model.layers.0.mlp.experts.0.up_proj.weight"));
  cases.push_back(without(kV3, kLayer + "gate.weight"));
  cases.push_back(reshaped(kV3, kLayer + "gate.weight", {36, 20}));
  cases.push_back(poked(kV3, kLayer + "gate.weight", 719, kInf));
  cases.push_back(without(kQwen, "model.layers.3.mlp.experts.0.gate_proj.weight"));
  // Inputs are prepared for all experts alike.
  cases.push_back({kV3 + ": expert 7 in BF16", kV3,
                   [](test::CheckpointCopy& c) {
                     test::TensorCopy& tensor = c.at(kLayer + "experts.7.up_proj.weight");
                     tensor.dtype = "BF16";
                     tensor.data.resize(tensor.data.size() / 2);
                   },
                   "up of expert 7 is BF16"});
}

/// A GGUF's experts lie in one tensor [experts][rows][columns].
void stacked_tensors(Cases& cases) {
  cases.push_back(without(kGguf, "blk.1.ffn_gate_exps.weight"));
  cases.push_back(without(kGguf, "blk.1.ffn_down_exps.weight"));
  cases.push_back(reshaped(kGguf, "blk.1.ffn_gate_exps.weight", {20, 36, 14}));
  cases.push_back(reshaped(kGguf, "blk.1.ffn_gate_exps.weight", {14, 36, 20}));
  cases.push_back(reshaped(kGguf, "blk.1.ffn_gate_exps.weight", {280, 36}));
  cases.push_back(reshaped(kGguf, "blk.1.ffn_down_exps.weight", {20, 14, 36}));
  cases.push_back(reshaped(kGguf, "blk.1.ffn_down_exps.weight", {19, 36, 14}));
  cases.push_back(reshaped(kGguf, "blk.1.ffn_down_exps.weight", {1, 20, 36, 14}));
  cases.push_back(reshaped(kQwenGguf, "blk.0.ffn_up_exps.weight", {12, 14, 36}));
  cases.push_back(poked(kGguf, "blk.1.ffn_up_exps.weight", 20 * 14 * 36 - 1, kNan));
  cases.push_back(copied(kGguf, "blk.1.ffn_up_exps.weight", "blk.0.ffn_up_exps.weight"));
  cases.push_back(copied(kGguf, "blk.1.ffn_up_shexp.weight", "blk.1.ffn_up_exps.0.weight"));
}

/// The bias of the choice: one value per expert, and finite.
void router_bias(Cases& cases) {
  const std::string bias = kLayer + "gate.e_score_correction_bias";
  cases.push_back(without(kV3, bias));
  for (const std::uint64_t size : {std::uint64_t{19}, std::uint64_t{21}, std::uint64_t{0}})
    cases.push_back(reshaped(kV3, bias, {size}));
  cases.push_back(reshaped(kV3, bias, {1, 20}));
  cases.push_back(poked(kV3, bias, 3, kNan));
  cases.push_back(poked(kV3, bias, 19, kInf));
  cases.push_back(without(kGguf, "blk.1.exp_probs_b.bias"));
  cases.push_back(reshaped(kGguf, "blk.1.exp_probs_b.bias", {19}));
  cases.push_back(poked(kGguf, "blk.1.exp_probs_b.bias", 0, kNan));
  cases.push_back(copied(kV2, "model.layers.1.input_layernorm.weight", bias));
}

}  // namespace

Cases hostile_expert_cases() {
  Cases cases;
  impossible_counts(cases);
  disagreeing_counts(cases);
  layer_kinds(cases);
  expert_tensors(cases);
  stacked_tensors(cases);
  router_bias(cases);
  return cases;
}

}  // namespace minke::models::testing
