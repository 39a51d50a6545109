// The gallery's figures beside the shapes of the models: what is written down by hand must follow from something.
#include "cli/available_models.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/cat.h"
#include "formats/checkpoint.h"
#include "hub/gallery.h"
#include "models/architectures.h"
#include "models/config.h"
#include "models/estimate.h"
#include "support/temp_folder.h"
#include "synth/plan.h"

namespace minke::cli {
namespace {

/// Published shapes of dense models that have no file in data/shapes.
struct DenseShape {
  const char* models;  ///< the end of `original`, or of several
  const char* type;
  int layers, hidden, heads, kv_heads, head_dim, feed_forward, vocabulary;
  bool tied;
};

constexpr DenseShape kDenseShapes[] = {
    {"SmolLM2-135M-Instruct", "llama", 30, 576, 9, 3, 64, 1536, 49152, true},
    {"Qwen2.5-0.5B-Instruct Qwen2.5-Coder-0.5B-Instruct", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, true},
    {"Qwen2.5-1.5B-Instruct Qwen2.5-Coder-1.5B-Instruct", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, true},
    {"Qwen2.5-3B-Instruct Qwen2.5-Coder-3B-Instruct", "qwen2", 36, 2048, 16, 2, 128, 11008, 151936, true},
    {"Qwen2.5-7B-Instruct Qwen2.5-Coder-7B-Instruct", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, false},
    {"Qwen2.5-14B-Instruct Qwen2.5-Coder-14B-Instruct DeepSeek-R1-Distill-Qwen-14B", "qwen2", 48, 5120, 40, 8, 128,
     13824, 152064, false},
    {"Qwen2.5-32B-Instruct Qwen2.5-Coder-32B-Instruct DeepSeek-R1-Distill-Qwen-32B", "qwen2", 64, 5120, 40, 8, 128,
     27648, 152064, false},
    {"Qwen2.5-72B-Instruct", "qwen2", 80, 8192, 64, 8, 128, 29568, 152064, false},
    {"Qwen3-0.6B", "qwen3", 28, 1024, 16, 8, 128, 3072, 151936, true},
    {"Qwen3-1.7B", "qwen3", 28, 2048, 16, 8, 128, 6144, 151936, true},
    {"Qwen3-4B", "qwen3", 36, 2560, 32, 8, 128, 9728, 151936, true},
    {"Qwen3-8B DeepSeek-R1-0528-Qwen3-8B", "qwen3", 36, 4096, 32, 8, 128, 12288, 151936, false},
    {"Qwen3-14B", "qwen3", 40, 5120, 40, 8, 128, 17408, 151936, false},
    {"Qwen3-32B", "qwen3", 64, 5120, 64, 8, 128, 25600, 151936, false},
    {"DeepSeek-R1-Distill-Llama-70B", "llama", 80, 8192, 64, 8, 128, 28672, 128256, false},
    {"deepseek-coder-1.3b-instruct", "llama", 24, 2048, 16, 16, 128, 5504, 32256, false},
    {"deepseek-coder-6.7b-instruct", "llama", 32, 4096, 32, 32, 128, 11008, 32256, false},
    {"deepseek-coder-33b-instruct", "llama", 62, 7168, 56, 8, 128, 19200, 32256, false},
};

std::string config_json(const DenseShape& s) {
  return base::cat(
      R"({"model_type":")", s.type, R"(","num_hidden_layers":)", s.layers, R"(,"hidden_size":)", s.hidden,
      R"(,"num_attention_heads":)", s.heads, R"(,"num_key_value_heads":)", s.kv_heads, R"(,"head_dim":)", s.head_dim,
      R"(,"intermediate_size":)", s.feed_forward, R"(,"vocab_size":)", s.vocabulary, R"(,"tie_word_embeddings":)",
      s.tied ? "true" : "false",
      R"(,"max_position_embeddings":4096,"rms_norm_eps":1e-6,"hidden_act":"silu","torch_dtype":"bfloat16"})");
}

/// "a/b" -> "b"
std::string last_part(const std::string& repo) { return repo.substr(repo.rfind('/') + 1); }

class GalleryFigures : public ::testing::Test {
 protected:
  /// The configuration of an entry's model; empty when nothing tells its shape.
  std::string config_path(const hub::GalleryEntry& entry) const {
    if (!entry.shape.empty()) return base::cat(MINKE_SOURCE_DIR, "/data/shapes/", entry.shape, ".json");
    const std::string model = last_part(entry.original.empty() ? entry.repo : entry.original);
    for (const DenseShape& shape : kDenseShapes)
      if (base::cat(" ", shape.models, " ").find(base::cat(" ", model, " ")) != std::string::npos)
        return folder_.write(model + ".json", config_json(shape));
    return {};
  }

  /// What a model of that configuration consists of in a recipe's types; each is planned once.
  const models::ModelSizes& sizes(const std::string& path, const std::string& recipe) {
    const auto [at, is_new] = known_.try_emplace({path, recipe});
    if (!is_new) return at->second;
    const auto source = formats::Checkpoint::open_config(path);
    const models::DecoderConfig config = models::read_config(*source);
    synth::PlanOptions options;
    options.recipe = recipe.empty() ? &synth::own_recipe(*source) : &synth::find_recipe(recipe);
    options.kind =
        recipe.empty() || recipe == "bf16" ? formats::CheckpointKind::safetensors : formats::CheckpointKind::gguf;
    at->second = models::measure(*synth::planned_checkpoint(*source, config, options), config, kernels::Numerics::fast);
    return at->second;
  }

  test::TempFolder folder_;
  std::map<std::pair<std::string, std::string>, models::ModelSizes> known_;
  const hub::Gallery gallery_ = hub::Gallery::built_in();
};

double off(std::uint64_t said, std::uint64_t is) {
  return static_cast<double>(said) / static_cast<double>(std::max<std::uint64_t>(is, 1)) - 1;
}

TEST_F(GalleryFigures, ArchitecturesAreThoseThatTheLoaderKnows) {
  std::set<std::string_view> known;
  for (const models::Architecture& architecture : models::architectures()) known.insert(architecture.name);
  for (const hub::GalleryEntry& entry : gallery_.entries()) {
    EXPECT_TRUE(known.contains(entry.architecture) || !entry.missing.empty()) << entry.name;
    const std::string path = config_path(entry);
    ASSERT_FALSE(path.empty()) << entry.name << ": neither data/shapes nor this file has its shape";
    EXPECT_EQ(models::architecture_name(*formats::Checkpoint::open_config(path)), entry.architecture) << entry.name;
  }
}

TEST_F(GalleryFigures, ParametersAreThoseOfTheShape) {
  for (const hub::GalleryEntry& entry : gallery_.entries()) {
    const models::ModelSizes& is = sizes(config_path(entry), "q8_0");
    EXPECT_LT(std::abs(off(entry.parameters, is.parameters)), 0.01) << entry.name << ": " << is.parameters;
    if (entry.active == 0) {
      // All of them but an embedding that is looked up, not multiplied with.
      EXPECT_GT(is.active_parameters, is.parameters * 6 / 10) << entry.name;
    } else {
      // Publishers count the embedding, or not.
      EXPECT_LT(std::abs(off(entry.active, is.active_parameters)), 0.15) << entry.name << ": " << is.active_parameters;
    }
  }
}

TEST_F(GalleryFigures, SizesAreThoseOfTheShapeInTheQuantisation) {
  for (const hub::GalleryEntry& entry : gallery_.entries()) {
    const std::string path = config_path(entry);
    for (const std::string& quant : entry.quants) {
      std::string recipe = quant == "safetensors" ? "bf16" : quant;
      std::transform(recipe.begin(), recipe.end(), recipe.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      if (recipe.starts_with("ud-") || entry.files.contains(quant)) continue;  // types by tensor; what was measured
      // Of small models the embedding, in more bits, is much of the whole.
      const double most = entry.parameters < 1'000'000'000 ? 0.45 : 0.15;
      const std::uint64_t is = sizes(path, recipe).file_bytes;
      EXPECT_LT(std::abs(off(entry.bytes(quant).value_or(0), is)), most)
          << entry.name << " " << quant << ": " << entry.bytes(quant).value_or(0) << ", by its shape " << is;
    }
  }
}

TEST_F(GalleryFigures, MoreBitsAreMoreBytes) {
  for (const hub::GalleryEntry& entry : gallery_.entries()) {
    std::uint64_t before = 0;
    for (const std::string& quant : entry.quants) {
      if (entry.files.contains(quant)) continue;  // beside estimates, which may be a fifth off
      const std::uint64_t bytes = entry.bytes(quant).value_or(0);
      EXPECT_GT(bytes, before) << entry.name << " " << quant;
      before = bytes;
    }
    for (const auto& [quant, bytes] : entry.files)
      EXPECT_NE(std::find(entry.quants.begin(), entry.quants.end(), quant), entry.quants.end()) << entry.name << quant;
  }
}

TEST_F(GalleryFigures, ConvertedModelsSayWhoPublishedThem) {
  std::set<std::string> repositories;
  for (const hub::GalleryEntry& entry : gallery_.entries()) {
    EXPECT_TRUE(repositories.insert(entry.repo).second) << entry.repo;
    EXPECT_EQ(last_part(entry.original.empty() ? entry.repo : entry.original), entry.title) << entry.name;
    const bool converted = entry.repo.ends_with("-GGUF");
    EXPECT_EQ(converted, !entry.original.empty()) << entry.name;
    EXPECT_EQ(converted, entry.quants.front() != "safetensors") << entry.name;
  }
}

}  // namespace
}  // namespace minke::cli
