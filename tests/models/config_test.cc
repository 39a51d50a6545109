// The configuration tables: what is read, what is refused and how the message says it.
#include "models/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <boost/json/serialize.hpp>

#include "base/error.h"
#include "support/checkpoint_copy.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::models {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// A copy of a tiny checkpoint whose config.json a test edits.
class EditedCheckpoint {
 public:
  explicit EditedCheckpoint(const std::string& name) {
    for (const auto& entry : fs::directory_iterator(test::tiny_folder(name)))
      if (entry.path().filename() != "config.json") fs::create_symlink(entry.path(), path_ / entry.path().filename());
    const std::string original = test::tiny_folder(name) + "/config.json";
    config = formats::parse_json(test::read_text(original), original).as_object();
  }

  DecoderConfig read() const {
    std::ofstream(path_ / "config.json") << json::serialize(config);
    return read_config(*formats::Checkpoint::open(path_.string()));
  }

  json::object config;

 private:
  test::TempFolder folder_;
  fs::path path_ = folder_.path();
};

/// The config is refused with `code`, and the message holds every one of `pieces`.
void expect_refused(const EditedCheckpoint& checkpoint, base::ErrorCode code, const std::vector<std::string>& pieces) {
  try {
    checkpoint.read();
    ADD_FAILURE() << "accepted " << json::serialize(checkpoint.config);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    for (const std::string& piece : pieces)
      EXPECT_NE(error.message().find(piece), std::string::npos) << error.message() << " lacks " << piece;
  }
}

TEST(Config, ReadsEveryFieldOfQwen3) {
  const DecoderConfig config = EditedCheckpoint("qwen3_yarn_explicit").read();
  EXPECT_EQ(config.architecture, "qwen3");
  EXPECT_EQ(config.hidden_size, 38);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.vocab_size, 263);
  EXPECT_EQ(config.max_position_embeddings, 160);
  EXPECT_EQ(config.attention.heads, 5);
  EXPECT_EQ(config.attention.kv_heads, 1);
  EXPECT_EQ(config.attention.head_dim, 26);
  EXPECT_TRUE(config.attention.qk_norm);
  EXPECT_FALSE(config.attention.qkv_bias);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.attention.rope.scaling, RopeScaling::yarn);
  EXPECT_EQ(config.attention.rope.theta, 1000.0);
  EXPECT_EQ(config.attention.rope.factor, 4.0);
  EXPECT_EQ(config.attention.rope.original_max_position, 40);
  EXPECT_EQ(config.attention.rope.beta_fast, 2.0);
  EXPECT_EQ(config.attention.rope.beta_slow, 0.25);
  EXPECT_EQ(config.attention.rope.attention_factor, 1.25);
}

TEST(Config, TheMisspeltAttnFactorIsIgnoredWithAWarning) {
  const DecoderConfig config = EditedCheckpoint("qwen3_yarn_attn_factor").read();
  EXPECT_FALSE(config.attention.rope.attention_factor.has_value());
  ASSERT_EQ(config.warnings.size(), 1u);
  EXPECT_NE(config.warnings[0].find("attn_factor"), std::string::npos);
}

TEST(Config, Qwen2HasBiasesOnQueryKeyAndValueOnly) {
  const DecoderConfig config = EditedCheckpoint("qwen2").read();
  EXPECT_TRUE(config.attention.qkv_bias);
  EXPECT_FALSE(config.attention.output_bias);
}

TEST(Config, UnknownArchitecturesAreRefusedNamingTheMissingBlock) {
  EditedCheckpoint checkpoint("llama");
  checkpoint.config["model_type"] = "deepseek_v32";
  expect_refused(checkpoint, base::ErrorCode::unsupported, {"deepseek_v32", "sparse attention"});
  checkpoint.config["model_type"] = "novel";
  expect_refused(checkpoint, base::ErrorCode::unsupported, {"llama", "qwen2", "qwen3", "novel"});
  checkpoint.config.erase("model_type");
  expect_refused(checkpoint, base::ErrorCode::format, {"model_type"});
}

TEST(Config, UnknownMethodsAreRefusedWithExpectedAndGot) {
  EditedCheckpoint checkpoint("llama_llama3");
  checkpoint.config["rope_parameters"].as_object()["rope_type"] = "longrope";
  expect_refused(checkpoint, base::ErrorCode::unsupported,
                 {"config.json: rope_parameters.rope_type", "yarn", "longrope"});

  EditedCheckpoint activation("llama");
  activation.config["hidden_act"] = "gelu";
  expect_refused(activation, base::ErrorCode::unsupported, {"hidden_act", "expected silu", "got gelu"});

  EditedCheckpoint window("qwen2");
  window.config["use_sliding_window"] = true;
  expect_refused(window, base::ErrorCode::unsupported, {"use_sliding_window", "sliding-window attention"});

  EditedCheckpoint layers("qwen3");
  layers.config["layer_types"] = json::array{"full_attention", "sliding_attention"};
  expect_refused(layers, base::ErrorCode::unsupported, {"layer_types", "sliding_attention"});

  EditedCheckpoint quantised("llama");
  quantised.config["quantization_config"] = json::object{{"quant_method", "awq"}};
  expect_refused(quantised, base::ErrorCode::unsupported, {"quantization_config.quant_method", "awq"});

  EditedCheckpoint head("llama");
  head.config["architectures"] = json::array{"LlamaForSequenceClassification"};
  expect_refused(head, base::ErrorCode::unsupported, {"LlamaForCausalLM", "LlamaForSequenceClassification"});
}

TEST(Config, WrongTypesAndRangesNameFileKeyExpectedAndGot) {
  const auto refused = [](std::string_view key, json::value value, const std::vector<std::string>& pieces) {
    EditedCheckpoint checkpoint("llama");
    checkpoint.config[key] = std::move(value);
    std::vector<std::string> all = {"config.json: " + std::string(key)};
    all.insert(all.end(), pieces.begin(), pieces.end());
    expect_refused(checkpoint, base::ErrorCode::format, all);
  };
  refused("hidden_size", "wide", {"expected an integer", "got a string"});
  refused("hidden_size", -4, {"expected 1 to", "got -4"});
  refused("hidden_size", json::value(), {"missing"});
  refused("num_hidden_layers", 1e300, {"expected an integer"});
  refused("num_attention_heads", 0, {"expected 1 to"});
  refused("rms_norm_eps", 2.0, {"expected 0 to 1"});
  refused("tie_word_embeddings", 1, {"expected true or false"});
  refused("vocab_size", json::array{}, {"expected an integer", "got a list"});
}

TEST(Config, HeadsThatDoNotDivideAreRefused) {
  EditedCheckpoint checkpoint("llama");
  checkpoint.config["num_key_value_heads"] = 4;
  checkpoint.config["num_attention_heads"] = 6;
  expect_refused(checkpoint, base::ErrorCode::format, {"num_key_value_heads", "6", "4"});
}

TEST(Config, RopeNumbersThatCannotBeAreRefused) {
  const auto refused = [](std::string_view key, json::value value) {
    EditedCheckpoint checkpoint("qwen3_yarn_explicit");
    checkpoint.config["rope_parameters"].as_object()[key] = std::move(value);
    expect_refused(checkpoint, base::ErrorCode::format, {"rope_parameters." + std::string(key)});
  };
  refused("factor", 0.0);
  refused("factor", "four");
  refused("rope_theta", 0.5);
  refused("original_max_position_embeddings", 0);
  refused("attention_factor", -1.0);
}

TEST(Config, ReadsEveryFieldOfDeepSeekV3) {
  const DecoderConfig config = EditedCheckpoint("deepseek_v3_groups7").read();
  EXPECT_EQ(config.attention.kind, AttentionKind::mla);
  EXPECT_GT(config.attention.mla.kv_lora_rank, 0);
  EXPECT_EQ(config.attention.rope.dim, config.attention.mla.qk_rope_head_dim);
  EXPECT_GT(config.attention.mla.softmax_mscale, 1.0);
  EXPECT_EQ(config.feed_forward.moe.routing, Routing::sigmoid_noaux_tc);
  EXPECT_EQ(config.feed_forward.moe.n_group, 7);
  EXPECT_TRUE(config.feed_forward.moe.norm_topk_prob);
  EXPECT_EQ(config.feed_forward.kinds.size(), static_cast<std::size_t>(config.num_hidden_layers));
}

TEST(Config, ExpertCountsThatCannotBeAreRefused) {
  const auto refused = [](std::string_view key, json::value value, const std::string& piece) {
    EditedCheckpoint checkpoint("deepseek_v3");
    checkpoint.config[key] = std::move(value);
    expect_refused(checkpoint, base::ErrorCode::format, {std::string(key), piece});
  };
  refused("n_routed_experts", 0, "expected 1 to");
  refused("n_routed_experts", 1 << 30, "expected 1 to");
  refused("num_experts_per_tok", 1000, "expected at most");
  refused("n_group", 3, "expected a divisor");
  refused("topk_group", 6, "expected at most");
  refused("moe_intermediate_size", -1, "expected 1 to");
  refused("n_shared_experts", 1 << 20, "expected 0 to");
  refused("kv_lora_rank", 0, "expected 1 to");
  refused("kv_lora_rank", 1020, "kv_lora_rank + qk_rope_head_dim");
  refused("qk_rope_head_dim", 7, "even");
  refused("v_head_dim", 100000, "expected 1 to");
  refused("num_nextn_predict_layers", 1000, "expected 0 to");
}

TEST(Config, UnknownRoutingIsRefused) {
  EditedCheckpoint method("deepseek_v3");
  method.config["topk_method"] = "expert_choice";
  expect_refused(method, base::ErrorCode::unsupported, {"topk_method", "noaux_tc", "expert_choice"});
  EditedCheckpoint scoring("deepseek_v3");
  scoring.config["scoring_func"] = "softmax";
  expect_refused(scoring, base::ErrorCode::unsupported, {"scoring_func", "expected sigmoid", "softmax"});
  EditedCheckpoint types("glm4_moe_lite");
  types.config["mlp_layer_types"] = json::array{"dense"};
  types.config["num_hidden_layers"] = 2;
  expect_refused(types, base::ErrorCode::format, {"mlp_layer_types", "expected 2 entries, got 1"});
}

// DeepSeek's own V2 normalises the weights of a token's experts or scales them, V3 does both.
TEST(Config, NormalisedSoftmaxWeightsAreNotScaled) {
  EditedCheckpoint v2("deepseek_v2");
  EXPECT_EQ(v2.read().feed_forward.moe.routed_scaling_factor, 6.5);
  v2.config["norm_topk_prob"] = true;
  EXPECT_TRUE(v2.read().feed_forward.moe.norm_topk_prob);
  EXPECT_EQ(v2.read().feed_forward.moe.routed_scaling_factor, 1.0);
  const EditedCheckpoint v3("deepseek_v3");
  EXPECT_TRUE(v3.read().feed_forward.moe.norm_topk_prob);
  EXPECT_EQ(v3.read().feed_forward.moe.routed_scaling_factor, 2.5);
}

/// The routing of a tiny deepseek2 file with so many blocks and such a vocabulary; gating < 0: without the key.
Routing gguf_routing(std::int64_t blocks, std::int64_t nextn, std::uint64_t vocabulary, std::int64_t gating) {
  test::CheckpointCopy copy(test::golden("tiny_moe_gguf/glm4_moe_lite.gguf"));
  copy.keys.insert_or_assign("deepseek2.block_count", formats::GgufValue(blocks));
  copy.keys.insert_or_assign("deepseek2.nextn_predict_layers", formats::GgufValue(nextn));
  copy.keys.erase("deepseek2.expert_gating_func");
  if (gating >= 0) copy.keys.insert_or_assign("deepseek2.expert_gating_func", formats::GgufValue(gating));
  copy.reshape("token_embd.weight", {vocabulary, 1});
  const test::TempFolder folder;
  return read_config(*formats::Checkpoint::open(copy.write(folder.path()))).feed_forward.moe.routing;
}

// GLM-4.7-Flash was published without expert_gating_func although it means sigmoid; V2's old files mean softmax.
TEST(Config, AGgufThatDoesNotTellItsGating) {
  constexpr std::uint64_t kGlmVocabulary = 154880;
  EXPECT_EQ(gguf_routing(47, 0, kGlmVocabulary, -1), Routing::sigmoid_noaux_tc);
  EXPECT_EQ(gguf_routing(48, 0, kGlmVocabulary, -1), Routing::sigmoid_noaux_tc);
  EXPECT_EQ(gguf_routing(48, 1, kGlmVocabulary, -1), Routing::sigmoid_noaux_tc);
  EXPECT_EQ(gguf_routing(47, 0, kGlmVocabulary, 0), Routing::sigmoid_noaux_tc);
  EXPECT_EQ(gguf_routing(47, 0, kGlmVocabulary, 1), Routing::softmax_greedy);  // told
  EXPECT_EQ(gguf_routing(46, 0, kGlmVocabulary, -1), Routing::softmax_greedy);
  EXPECT_EQ(gguf_routing(47, 0, kGlmVocabulary - 1, -1), Routing::softmax_greedy);
  EXPECT_EQ(gguf_routing(27, 0, 102400, -1), Routing::softmax_greedy);
  EXPECT_EQ(gguf_routing(61, 0, 129280, 2), Routing::sigmoid_noaux_tc);
}

TEST(Config, Fp8OfAnotherKindIsRefused) {
  EditedCheckpoint blocks("deepseek_v3_fp8");
  blocks.config["quantization_config"].as_object()["weight_block_size"] = json::array{64, 64};
  expect_refused(blocks, base::ErrorCode::unsupported, {"quantization_config.weight_block_size", "[128, 128]"});
  EditedCheckpoint format("deepseek_v3_fp8");
  format.config["quantization_config"].as_object()["fmt"] = "e5m2";
  expect_refused(format, base::ErrorCode::unsupported, {"quantization_config.fmt", "e4m3", "e5m2"});
}

}  // namespace
}  // namespace minke::models
