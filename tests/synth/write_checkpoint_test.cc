#include "synth/write_checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "models/estimate.h"
#include "models/loader.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::synth {
namespace {

using formats::CheckpointKind;
using test::TempFolder;

WriteOptions options_for(CheckpointKind kind, std::string_view type) {
  WriteOptions options;
  options.plan.kind = kind;
  options.plan.recipe = &find_recipe(type);
  options.name = "test";
  return options;
}

/// The tiny checkpoints' configurations: every architecture, with awkward dimensions.
struct Source {
  explicit Source(const std::string& name)
      : checkpoint(formats::Checkpoint::open_config(test::tiny_folder(name))),
        config(models::read_config(*checkpoint)) {}
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  models::DecoderConfig config;
};

void expect_same(const models::DecoderConfig& a, const models::DecoderConfig& b, const std::string& name) {
  EXPECT_EQ(a.vocab_size, b.vocab_size) << name;
  EXPECT_EQ(a.hidden_size, b.hidden_size) << name;
  EXPECT_EQ(a.num_hidden_layers, b.num_hidden_layers) << name;
  EXPECT_EQ(a.max_position_embeddings, b.max_position_embeddings) << name;
  EXPECT_FLOAT_EQ(static_cast<float>(a.rms_norm_eps), static_cast<float>(b.rms_norm_eps)) << name;
  EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings) << name;
  EXPECT_EQ(a.attention.heads, b.attention.heads) << name;
  EXPECT_EQ(a.attention.kv_heads, b.attention.kv_heads) << name;
  EXPECT_EQ(a.attention.head_dim, b.attention.head_dim) << name;
  EXPECT_EQ(a.attention.qkv_bias, b.attention.qkv_bias) << name;
  EXPECT_EQ(a.attention.mla.q_lora_rank, b.attention.mla.q_lora_rank) << name;
  EXPECT_EQ(a.attention.mla.v_head_dim, b.attention.mla.v_head_dim) << name;
  EXPECT_FLOAT_EQ(static_cast<float>(a.attention.mla.softmax_mscale),
                  static_cast<float>(b.attention.mla.softmax_mscale))
      << name;
  EXPECT_EQ(a.feed_forward.kinds, b.feed_forward.kinds) << name;
  EXPECT_EQ(a.feed_forward.moe.routing, b.feed_forward.moe.routing) << name;
  EXPECT_EQ(a.feed_forward.moe.norm_topk_prob, b.feed_forward.moe.norm_topk_prob) << name;
  EXPECT_EQ(a.feed_forward.moe.topk_group, b.feed_forward.moe.topk_group) << name;
  EXPECT_FLOAT_EQ(static_cast<float>(a.feed_forward.moe.routed_scaling_factor),
                  static_cast<float>(b.feed_forward.moe.routed_scaling_factor))
      << name;
}

TEST(WriteCheckpoint, SafetensorsReadBackAsTheirConfiguration) {
  base::ThreadPool pool(2);
  for (const std::string& name : test::tiny_names()) {
    const Source source(name);
    for (const char* type : {"f32", "bf16", "f16", "fp8"}) {
      const TempFolder folder;
      const std::string path = folder.path() + "/model";
      WriteOptions options = options_for(CheckpointKind::safetensors, type);
      options.shard_bytes = 100'000;
      const Written written = write_checkpoint(*source.checkpoint, source.config, options, path, pool);
      const auto checkpoint = formats::Checkpoint::open(path);
      EXPECT_EQ(checkpoint->tensors().size(), written.tensors);
      const models::DecoderConfig config = models::read_config(*checkpoint);
      expect_same(config, source.config, name);
      models::measure(*checkpoint, config, kernels::Numerics::exact);
      models::load_weights(*checkpoint, config, kernels::Numerics::exact, pool, {});
    }
  }
}

TEST(WriteCheckpoint, GgufsReadBackAsTheirConfiguration) {
  base::ThreadPool pool(2);
  std::size_t described = 0;
  for (const std::string& name : test::tiny_names()) {
    const Source source(name);
    for (const char* type : {"f32", "q4_k_m", "q2_k", "iq4_xs", "iq2_xxs", "mxfp4", "q5_0", "q8_0"}) {
      const TempFolder folder;
      const std::string path = folder.path() + "/model.gguf";
      try {
        write_checkpoint(*source.checkpoint, source.config, options_for(CheckpointKind::gguf, type), path, pool);
      } catch (const base::Error& error) {
        EXPECT_EQ(error.code(), base::ErrorCode::unsupported) << name << ": " << error.message();
        EXPECT_FALSE(std::filesystem::exists(path));
        continue;
      }
      ++described;
      const auto checkpoint = formats::Checkpoint::open(path);
      const models::DecoderConfig config = models::read_config(*checkpoint);
      expect_same(config, source.config, name);
      models::measure(*checkpoint, config, kernels::Numerics::exact);
      models::load_weights(*checkpoint, config, kernels::Numerics::exact, pool, {});
    }
  }
  EXPECT_GE(described, 8 * test::tiny_names().size() / 2);
}

TEST(WriteCheckpoint, ThreadsAndShardsDoNotMatter) {
  const Source source("deepseek_v3_mtp");
  const TempFolder folder;
  base::ThreadPool one(1), three(3);
  WriteOptions options = options_for(CheckpointKind::safetensors, "fp8");
  write_checkpoint(*source.checkpoint, source.config, options, folder.path() + "/a", one);
  options.shard_bytes = 30'000;
  const Written sharded = write_checkpoint(*source.checkpoint, source.config, options, folder.path() + "/b", three);
  EXPECT_GT(sharded.files, 3u);
  const auto a = formats::Checkpoint::open(folder.path() + "/a");
  const auto b = formats::Checkpoint::open(folder.path() + "/b");
  ASSERT_EQ(a->tensors().size(), b->tensors().size());
  std::size_t nextn = 0;
  for (const formats::TensorView& tensor : a->tensors()) {
    const formats::TensorView& other = b->require(tensor.name);
    EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), other.data.begin(), other.data.end()))
        << tensor.name;
    nextn += models::is_nextn(tensor.name, source.config);
  }
  EXPECT_EQ(models::measure(*a, source.config, kernels::Numerics::fast).nextn.tensors, nextn);
  EXPECT_GT(nextn, 10u);
}

TEST(WriteCheckpoint, FewerLayers) {
  Source source("glm4_moe_lite");
  keep_layers(source.config, 1);
  const TempFolder folder;
  base::ThreadPool pool(1);
  write_checkpoint(*source.checkpoint, source.config, options_for(CheckpointKind::safetensors, "bf16"),
                   folder.path() + "/model", pool);
  EXPECT_EQ(models::read_config(*formats::Checkpoint::open(folder.path() + "/model")).num_hidden_layers, 1);
  EXPECT_THROW(keep_layers(source.config, 2), base::Error);
}

TEST(WriteCheckpoint, LeavesNothingWhenStopped) {
  const Source source("llama");
  const TempFolder folder;
  base::ThreadPool pool(1);
  for (const CheckpointKind kind : {CheckpointKind::gguf, CheckpointKind::safetensors}) {
    WriteOptions options = options_for(kind, "f32");
    options.progress = [](std::uint64_t, std::uint64_t) { return false; };
    try {
      write_checkpoint(*source.checkpoint, source.config, options, folder.path() + "/model.gguf", pool);
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::cancelled);
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
}

TEST(WriteCheckpoint, TakesNoNameThatIsTaken) {
  const Source source("llama");
  const TempFolder folder;
  base::ThreadPool pool(1);
  const std::string path = folder.write("model.gguf", "mine");
  EXPECT_THROW(
      write_checkpoint(*source.checkpoint, source.config, options_for(CheckpointKind::gguf, "f32"), path, pool),
      base::Error);
  EXPECT_EQ(test::read_text(path), "mine");
}

TEST(Plan, IsWhatIsWritten) {
  base::ThreadPool pool(1);
  for (const char* name : {"deepseek_v3_mtp", "qwen2", "deepseek_v2_lite"}) {
    const Source source(name);
    const TempFolder folder;
    const WriteOptions options = options_for(CheckpointKind::safetensors, "fp8");
    write_checkpoint(*source.checkpoint, source.config, options, folder.path() + "/model", pool);
    const auto real = formats::Checkpoint::open(folder.path() + "/model");
    const auto plan = planned_checkpoint(*source.checkpoint, source.config, options.plan);
    const auto a = models::measure(*real, source.config, kernels::Numerics::fast);
    const auto b = models::measure(*plan, source.config, kernels::Numerics::fast);
    EXPECT_EQ(a.parameters, b.parameters);
    EXPECT_EQ(a.file_bytes, b.file_bytes);
    EXPECT_EQ(a.weight_bytes, b.weight_bytes);
    EXPECT_EQ(a.nextn.bytes, b.nextn.bytes);
    EXPECT_FALSE(plan->has_weights());
  }
}

}  // namespace
}  // namespace minke::synth
