#include "synth/gguf_keys.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/math.h"
#include "models/architectures.h"

namespace minke::synth {

namespace {

using base::cat;
using formats::GgufEntry;
using models::RopeScaling;

[[noreturn]] void cannot_say(std::string_view what) {
  throw base::Error(base::ErrorCode::unsupported, cat("a GGUF cannot say ", what), "write safetensors instead");
}

class Keys {
 public:
  explicit Keys(std::string prefix) : prefix_(std::move(prefix)) {}

  void text(std::string_view key, std::string value) { list.push_back({full(key), std::move(value)}); }
  void integer(std::string_view key, std::int64_t value) {
    list.push_back({full(key), static_cast<std::uint32_t>(value)});
  }
  void real(std::string_view key, double value) { list.push_back({full(key), static_cast<float>(value)}); }
  void flag(std::string_view key, bool value) { list.push_back({full(key), value}); }

  std::vector<GgufEntry> list;

 private:
  std::string full(std::string_view key) const {
    const bool absolute = key.starts_with("general.") || key.starts_with("tokenizer.");
    return absolute ? std::string(key) : cat(prefix_, key);
  }

  std::string prefix_;
};

void add_attention(const models::AttentionConfig& a, Keys& keys) {
  keys.integer("attention.head_count", a.heads);
  keys.integer("attention.head_count_kv", a.kv_heads);
  if (a.kind == models::AttentionKind::gqa) {
    keys.integer("attention.key_length", a.head_dim);
    keys.integer("attention.value_length", a.head_dim);
    keys.integer("rope.dimension_count", a.head_dim);
    return;
  }
  const models::MlaConfig& mla = a.mla;
  if (!mla.rope_interleave) cannot_say("that rotary dimensions are not interleaved (rope_interleave)");
  if (mla.q_lora_rank > 0) keys.integer("attention.q_lora_rank", mla.q_lora_rank);
  keys.integer("attention.kv_lora_rank", mla.kv_lora_rank);
  keys.integer("attention.key_length", mla.kv_lora_rank + mla.qk_rope_head_dim);
  keys.integer("attention.value_length", mla.kv_lora_rank);
  keys.integer("attention.key_length_mla", mla.qk_nope_head_dim + mla.qk_rope_head_dim);
  keys.integer("attention.value_length_mla", mla.v_head_dim);
  keys.integer("rope.dimension_count", mla.qk_rope_head_dim);
}

void add_yarn(const models::AttentionConfig& a, Keys& keys) {
  const models::RopeConfig& rope = a.rope;
  keys.text("rope.scaling.type", "yarn");
  keys.real("rope.scaling.factor", rope.factor);
  keys.integer("rope.scaling.original_context_length", rope.original_max_position);
  keys.real("rope.scaling.yarn_beta_fast", rope.beta_fast);
  keys.real("rope.scaling.yarn_beta_slow", rope.beta_slow);
  const double usual = 0.1 * kernels::log(rope.factor);  // ggml's growth of cos and sin, less 1
  if (a.kind == models::AttentionKind::mla) {
    if (std::fabs(rope.attention_factor.value_or(usual + 1) - 1) > 1e-6)
      cannot_say("that mscale and mscale_all_dim differ");
    keys.real("rope.scaling.yarn_log_multiplier", 0.1 * (a.mla.softmax_mscale - 1) / usual);
  } else if (rope.attention_factor) {
    keys.real("rope.scaling.attn_factor", *rope.attention_factor / (usual + 1));
  }
}

void add_rope(const models::AttentionConfig& a, Keys& keys) {
  keys.real("rope.freq_base", a.rope.theta);
  if (a.rope.scaling == RopeScaling::linear) {
    keys.text("rope.scaling.type", "linear");
    keys.real("rope.scaling.factor", a.rope.factor);
  } else if (a.rope.scaling == RopeScaling::yarn) {
    add_yarn(a, keys);
  }
}

void add_experts(const models::DecoderConfig& config, Keys& keys) {
  const models::MoeConfig& moe = config.feed_forward.moe;
  const auto& kinds = config.feed_forward.kinds;
  const auto first = std::find(kinds.begin(), kinds.end(), models::FeedForwardKind::moe);
  if (std::find(first, kinds.end(), models::FeedForwardKind::dense) != kinds.end())
    cannot_say("that dense layers follow mixtures of experts");
  const bool qwen = config.architecture == "qwen3_moe";
  if (qwen && first != kinds.begin()) cannot_say("that qwen3moe has dense layers");
  if (qwen && !moe.norm_topk_prob) cannot_say("that qwen3moe does not normalise its weights (norm_topk_prob)");
  keys.integer("expert_count", moe.n_routed_experts);
  keys.integer("expert_used_count", moe.num_experts_per_tok);
  keys.integer("expert_feed_forward_length", moe.moe_intermediate_size);
  if (qwen) return;
  keys.integer("expert_shared_count", moe.n_shared_experts);
  keys.integer("leading_dense_block_count", first - kinds.begin());
  keys.real("expert_weights_scale", moe.routed_scaling_factor);
  if (moe.norm_topk_prob) keys.flag("expert_weights_norm", true);
  if (config.architecture == "deepseek") return;
  keys.integer("expert_gating_func", moe.routing == models::Routing::sigmoid_noaux_tc ? 2 : 1);
  const bool grouped = moe.routing != models::Routing::softmax_greedy;
  keys.integer("expert_group_count", grouped ? moe.n_group : 1);
  keys.integer("expert_group_used_count", grouped ? moe.topk_group : 1);
}

}  // namespace

std::vector<GgufEntry> gguf_keys(const models::DecoderConfig& config, const Recipe& recipe, const std::string& name) {
  const auto known = models::architectures();
  const auto architecture =
      std::find_if(known.begin(), known.end(), [&](const auto& entry) { return entry.name == config.architecture; });
  if (architecture == known.end()) cannot_say(cat("the architecture '", config.architecture, "'"));
  Keys keys(cat(architecture->gguf_name, "."));
  keys.text("general.architecture", std::string(architecture->gguf_name));
  keys.text("general.name", name);
  const bool pure = recipe.mixture == Mixture::pure;
  // What is no mixture of llama.cpp's is named by the one it is nearest to; the key is only shown.
  keys.integer("general.file_type", static_cast<std::int64_t>(pure ? Mixture::q4_k_s : recipe.mixture));
  keys.integer("general.quantization_version", 2);
  keys.integer("vocab_size", config.vocab_size);
  keys.integer("context_length", config.max_position_embeddings);
  keys.integer("embedding_length", config.hidden_size);
  keys.integer("block_count", config.num_hidden_layers);
  keys.integer("feed_forward_length", config.feed_forward.intermediate_size);
  keys.real("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  add_attention(config.attention, keys);
  add_rope(config.attention, keys);
  if (config.feed_forward.moe.n_routed_experts > 0) add_experts(config, keys);
  keys.text("tokenizer.ggml.model", "none");
  return std::move(keys.list);
}

}  // namespace minke::synth
