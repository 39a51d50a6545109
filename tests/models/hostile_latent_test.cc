// Latent attention that contradicts itself: ranks, head sizes, kv_b in its two forms.
#include <limits>

#include "models/hostile_checkpoint.h"

namespace minke::models::testing {

namespace {

const std::string kV3 = "tiny_moe/deepseek_v3", kLite = "tiny_moe/deepseek_v2_lite",
                  kGguf = "tiny_moe_gguf/deepseek_v3.gguf", kFused = "tiny_moe_gguf/deepseek_v3.fused.gguf";
const std::string kLayer = "model.layers.1.self_attn.";
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

using Cases = std::vector<HostileCheckpoint>;

void impossible_sizes(Cases& cases) {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-8}, std::int64_t{1} << 33, kHuge, -kHuge}) {
    for (const char* key : {"q_lora_rank", "kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"})
      cases.push_back(with_key(kV3, key, value));
    for (const char* key : {"attention.q_lora_rank", "attention.kv_lora_rank", "rope.dimension_count",
                            "attention.key_length_mla", "attention.value_length_mla"})
      cases.push_back(with_int(kGguf, base::cat("deepseek2.", key), value));
  }
  cases.push_back(with_key(kV3, "qk_rope_head_dim", 11, "qk_rope_head_dim: expected an even number"));
  cases.push_back(with_key(kV3, "kv_lora_rank", 1020, "kv_lora_rank + qk_rope_head_dim"));
  cases.push_back(with_int(kGguf, "deepseek2.attention.key_length_mla", 12, "qk_nope_head_dim"));  // rope alone
  cases.push_back(with_int(kGguf, "deepseek2.attention.key_length_mla", std::numeric_limits<std::int64_t>::min(),
                           "key_length_mla"));
  cases.push_back(with_key(kV3, "rope_interleave", 1));
  cases.push_back(with_key(kV3, "attention_bias", true));
  HostileCheckpoint no_lengths{"no head sizes in a GGUF", kGguf, {}, "attention.key_length_mla: missing"};
  no_lengths.change = [](test::CheckpointCopy& c) {
    for (const char* key : {"key_length", "value_length", "key_length_mla", "value_length_mla"})
      c.keys.erase(base::cat("deepseek2.attention.", key));
  };
  cases.push_back(no_lengths);
}

void disagreeing_sizes(Cases& cases) {
  // As large as the tables allow: the order of 65536 heads' rows must not be built before the tensor is looked at.
  HostileCheckpoint wide{"65536 heads of 2048", kV3, {}, ".q_a_proj.weight"};
  wide.change = [](test::CheckpointCopy& c) {
    c.config["num_attention_heads"] = 65536;
    c.config["qk_nope_head_dim"] = 1024;
    c.config["qk_rope_head_dim"] = 1000;
    c.config["q_lora_rank"] = nullptr;
  };
  wide.item = ".q_proj.weight";
  cases.push_back(wide);
  HostileCheckpoint present = wide;
  present.name += ", q_proj there";
  present.base = kLite;
  cases.push_back(present);
  cases.push_back(with_key(kV3, "num_attention_heads", 5, ".q_b_proj.weight"));
  cases.push_back(with_key(kV3, "q_lora_rank", 24, ".q_a_proj.weight"));
  cases.push_back(with_key(kV3, "q_lora_rank", nullptr, ".q_proj.weight"));
  cases.push_back(with_key(kLite, "q_lora_rank", 8, ".q_a_proj.weight"));
  cases.push_back(with_key(kV3, "kv_lora_rank", 21, ".kv_a_proj_with_mqa.weight"));
  cases.push_back(with_key(kV3, "qk_nope_head_dim", 9, ".q_b_proj.weight"));
  cases.push_back(with_key(kV3, "v_head_dim", 10, ".kv_b_proj.weight"));
  // The sum of both parts stays: kv_a tells them apart.
  HostileCheckpoint shifted{"nope and rope shifted", kV3, {}, ".kv_a_proj_with_mqa.weight"};
  shifted.change = [](test::CheckpointCopy& c) {
    c.config["qk_nope_head_dim"] = 8;
    c.config["qk_rope_head_dim"] = 14;
  };
  cases.push_back(shifted);
  cases.push_back(with_int(kGguf, "deepseek2.attention.kv_lora_rank", 20, "blk.0.attn_kv_a_mqa.weight"));
  cases.push_back(with_int(kGguf, "deepseek2.attention.key_length_mla", 24, "blk.0.attn_q_b.weight"));
  cases.push_back(with_int(kGguf, "deepseek2.attention.value_length_mla", 10, "blk.0.attn_v_b.weight"));
  cases.push_back(with_int(kFused, "deepseek2.attention.value_length", 10, "blk.0.attn_kv_b.weight"));
  cases.push_back(with_int(kGguf, "deepseek2.attention.q_lora_rank", 21, "blk.0.attn_q_a.weight"));
}

void latent_tensors(Cases& cases) {
  for (const char* which :
       {"q_a_proj", "q_a_layernorm", "q_b_proj", "kv_a_proj_with_mqa", "kv_a_layernorm", "kv_b_proj", "o_proj"}) {
    cases.push_back(without(kV3, base::cat(kLayer, which, ".weight")));
    cases.push_back(poked(kV3, base::cat(kLayer, which, ".weight"), 2, kNan));
    cases.push_back(reshaped(kV3, base::cat(kLayer, which, ".weight"), {3, 7}));
  }
  cases.push_back(reshaped(kV3, kLayer + "kv_b_proj.weight", {22, 76}));
  cases.push_back(reshaped(kV3, kLayer + "kv_b_proj.weight", {4, 19, 22}));
  cases.push_back(copied(kV3, kLayer + "q_a_proj.weight", kLayer + "q_proj.weight"));
  cases.push_back(copied(kLite, kLayer + "q_proj.weight", kLayer + "q_b_proj.weight"));
  cases.push_back(copied(kV3, kLayer + "q_a_layernorm.weight", kLayer + "q_a_proj.bias"));
}

/// GGUF's two forms: attn_kv_b, or attn_k_b [heads][rank][nope] and attn_v_b [heads][v][rank].
void split_and_fused(Cases& cases) {
  const std::string k = "blk.1.attn_k_b.weight", v = "blk.1.attn_v_b.weight", kv = "blk.1.attn_kv_b.weight";
  cases.push_back(without(kFused, kv));
  cases.push_back(without(kGguf, v));
  cases.push_back(without(kGguf, k));
  cases.back().item = "blk.1.attn_";  // without k_b the fused form is looked for
  cases.push_back(reshaped(kGguf, k, {4, 10, 22}));
  cases.push_back(reshaped(kGguf, k, {88, 10}));
  cases.push_back(reshaped(kGguf, k, {5, 22, 10}));
  cases.push_back(reshaped(kGguf, v, {4, 22, 9}));
  cases.push_back(reshaped(kGguf, v, {4, 9, 21}));
  cases.push_back(poked(kGguf, k, 879, kNan));
  cases.push_back(poked(kGguf, v, 0, kNan));
  cases.push_back(reshaped(kFused, kv, {22, 76}));
  cases.push_back(reshaped(kFused, kv, {4, 19, 22}));
  // Both forms in one file: which is meant cannot be told.
  const auto both = [&](const std::string& name, const std::vector<test::TensorCopy>& more, const std::string& base,
                        const std::string& item) {
    cases.push_back({name, base,
                     [=](test::CheckpointCopy& c) {
                       for (const test::TensorCopy& tensor : more) c.add(tensor);
                     },
                     item});
  };
  const auto zeros = [](const std::string& name, const std::vector<std::uint64_t>& shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t n : shape) count *= n;
    return test::TensorCopy{name, "F32", shape, std::string(4 * count, '\0')};
  };
  both("split and fused", {zeros(kv, {76, 22})}, kGguf, "blk.1.attn_k_b.weight");
  both("split and a fused one of another shape", {zeros(kv, {75, 22})}, kGguf, kv);
  both("fused and split", {zeros(k, {4, 22, 10}), zeros(v, {4, 9, 22})}, kFused, "blk.1.attn_k_b.weight");
  both("fused and half of the split", {zeros(v, {4, 9, 22})}, kFused, "blk.1.attn_v_b.weight");
}

}  // namespace

Cases hostile_latent_cases() {
  Cases cases;
  impossible_sizes(cases);
  disagreeing_sizes(cases);
  latent_tensors(cases);
  split_and_fused(cases);
  return cases;
}

}  // namespace minke::models::testing
