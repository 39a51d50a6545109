#include "synth/plan.h"

#include <cmath>
#include <string>

#include "base/error.h"
#include "models/config_source.h"
#include "models/rope.h"
#include "models/weights.h"

namespace minke::synth {

namespace {

using base::cat;
using formats::CheckpointKind;
using formats::DType;
using models::Linear;
using models::Role;

constexpr double kNormDeviation = 0.1, kBiasDeviation = 0.05;

class Planner final : public models::WeightVisitor {
 public:
  Planner(const models::DecoderConfig& config, const PlanOptions& options, std::int64_t first_layer)
      : config_(config), options_(options), gguf_(options.kind == CheckpointKind::gguf), first_layer_(first_layer) {}

  void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear&) override {
    if (layer < first_layer_) return;
    const std::string name = models::tensor_name(role, layer, options_.kind);
    matrix(role, layer, name + ".weight", {size(rows), size(cols)}, cols);
    if (bias) plain(name + ".bias", size(rows), Fill::matrix, kBiasDeviation);
  }

  void vector(Role role, std::int64_t layer, std::int64_t count, std::vector<float>&) override {
    if (layer < first_layer_) return;
    const std::string name = models::tensor_name(role, layer, options_.kind);
    const bool bias = role == Role::router_bias;
    plain(cat(name, models::weight_suffix(role, options_.kind)), size(count), bias ? Fill::matrix : Fill::norm,
          bias ? kBiasDeviation : kNormDeviation, bias);
  }

  void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>&) override {
    if (layer < first_layer_) return;
    if (gguf_) {
      const std::string name = models::tensor_name(role, layer, options_.kind) + ".weight";
      return matrix(role, layer, name, {size(count), size(rows), size(cols)}, cols);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string name = models::tensor_name(role, layer, options_.kind, i) + ".weight";
      matrix(role, layer, name, {size(rows), size(cols)}, cols);
    }
  }

  void latent_heads(std::int64_t layer, models::MlaWeights&) override {
    if (layer < first_layer_) return;
    const models::MlaConfig& mla = config_.attention.mla;
    const std::int64_t heads = config_.attention.heads;
    const auto name = [&](Role role) { return models::tensor_name(role, layer, options_.kind) + ".weight"; };
    if (!gguf_) {
      const std::int64_t rows = heads * (mla.qk_nope_head_dim + mla.v_head_dim);
      return matrix(Role::kv_b, layer, name(Role::kv_b), {size(rows), size(mla.kv_lora_rank)}, mla.kv_lora_rank);
    }
    // The transposed half has the inputs of the whole, for it is one projection of the latent.
    matrix(Role::k_b, layer, name(Role::k_b), {size(heads), size(mla.kv_lora_rank), size(mla.qk_nope_head_dim)},
           mla.kv_lora_rank);
    matrix(Role::v_b, layer, name(Role::v_b), {size(heads), size(mla.v_head_dim), size(mla.kv_lora_rank)},
           mla.kv_lora_rank);
  }

  /// What a multi-token prediction layer has besides a decoder layer (DeepSeek-V3's README_WEIGHTS).
  void nextn_extras(std::int64_t layer) {
    const std::string prefix = cat("model.layers.", layer, ".");
    const std::uint64_t hidden = size(config_.hidden_size), vocabulary = size(config_.vocab_size);
    matrix(Role::embedding, layer, prefix + "embed_tokens.weight", {vocabulary, hidden}, config_.hidden_size);
    plain(prefix + "enorm.weight", hidden, Fill::norm, kNormDeviation);
    plain(prefix + "hnorm.weight", hidden, Fill::norm, kNormDeviation);
    // Kept in 16 bits in FP8 checkpoints, as the output is.
    matrix(Role::output, layer, prefix + "eh_proj.weight", {hidden, 2 * hidden}, 2 * config_.hidden_size);
    plain(prefix + "shared_head.norm.weight", hidden, Fill::norm, kNormDeviation);
    matrix(Role::output, layer, prefix + "shared_head.head.weight", {vocabulary, hidden}, config_.hidden_size);
  }

  /// Llama-3's scaling, which a GGUF holds as divisors of the frequencies.
  void rope_divisors() {
    models::RopeConfig plain_rope = config_.attention.rope;
    plain_rope.scaling = models::RopeScaling::none;
    const models::Rope scaled(config_.attention.rope), unscaled(plain_rope);
    PlannedTensor tensor;
    tensor.spec = {"rope_freqs.weight", DType::f32, {scaled.half()}};
    tensor.fill = Fill::values;
    for (std::size_t i = 0; i < scaled.half(); ++i)
      tensor.values.push_back(unscaled.inverse_frequencies()[i] / scaled.inverse_frequencies()[i]);
    tensors.push_back(std::move(tensor));
  }

  std::vector<PlannedTensor> tensors;

 private:
  static std::uint64_t size(std::int64_t n) { return static_cast<std::uint64_t>(n); }

  void matrix(Role role, std::int64_t layer, std::string name, std::vector<std::uint64_t> shape, std::int64_t fan_in) {
    const auto cols = static_cast<std::int64_t>(shape.back());
    const DType dtype =
        gguf_ ? gguf_type(*options_.recipe, config_, role, layer, cols) : safetensors_type(*options_.recipe, role);
    const double deviation = options_.deviation > 0 ? options_.deviation : 1 / std::sqrt(static_cast<double>(fan_in));
    tensors.push_back({{std::move(name), dtype, std::move(shape)}, Fill::matrix, deviation, {}});
    if (dtype != DType::f8_e4m3) return;
    const formats::TensorSpec& weight = tensors.back().spec;
    const auto blocks = [](std::uint64_t n) { return (n + 127) / 128; };
    tensors.push_back({{weight.name + "_scale_inv", DType::f32, {blocks(weight.shape[0]), blocks(weight.shape[1])}},
                       Fill::scales,
                       deviation,
                       {}});
  }

  /// A vector: F32 in a GGUF and for the router's bias, else the type of what is not quantised.
  void plain(std::string name, std::uint64_t count, Fill fill, double deviation, bool keep_f32 = false) {
    const DType base = options_.recipe->base;
    const DType dtype = gguf_ || keep_f32 ? DType::f32 : base == DType::f8_e4m3 ? DType::bf16 : base;
    tensors.push_back({{std::move(name), dtype, {count}}, fill, deviation, {}});
  }

  const models::DecoderConfig& config_;
  const PlanOptions& options_;
  bool gguf_;
  std::int64_t first_layer_;
};

/// The layers after the decoder's own are mixtures where its last one is.
models::DecoderConfig with_nextn_layers(const models::DecoderConfig& config) {
  models::DecoderConfig longer = config;
  longer.num_hidden_layers += config.num_nextn_predict_layers;
  longer.feed_forward.kinds.resize(static_cast<std::size_t>(longer.num_hidden_layers),
                                   config.feed_forward.kinds.back());
  return longer;
}

}  // namespace

std::vector<PlannedTensor> plan_tensors(const models::DecoderConfig& config, const PlanOptions& options) {
  constexpr std::int64_t kEverything = -1;  // the embedding and the output are of layer -1
  models::DecoderWeights unused;
  Planner planner(config, options, kEverything);
  models::visit_weights(config, unused, planner);
  if (options.kind == CheckpointKind::gguf) {
    if (config.attention.rope.scaling == models::RopeScaling::llama3) planner.rope_divisors();
    return std::move(planner.tensors);
  }
  if (config.num_nextn_predict_layers == 0) return std::move(planner.tensors);
  const models::DecoderConfig longer = with_nextn_layers(config);
  Planner nextn(longer, options, config.num_hidden_layers);
  models::DecoderWeights unused_too;
  models::visit_weights(longer, unused_too, nextn);
  for (std::int64_t layer = config.num_hidden_layers; layer < longer.num_hidden_layers; ++layer)
    nextn.nextn_extras(layer);
  for (PlannedTensor& tensor : nextn.tensors) planner.tensors.push_back(std::move(tensor));
  return std::move(planner.tensors);
}

const Recipe& own_recipe(const formats::Checkpoint& config) {
  const models::ConfigSource source(config);
  // read_config refuses every other kind of quantisation.
  if (source.find_object("quantization_config") != nullptr) return find_recipe("fp8");
  const std::string name = source.find_string({"dtype", "torch_dtype", {}}).value_or("bfloat16");
  if (name == "float32") return find_recipe("f32");
  if (name == "float16") return find_recipe("f16");
  if (name == "bfloat16") return find_recipe("bf16");
  throw base::Error(base::ErrorCode::unsupported,
                    cat(source.file(), ": dtype: expected float32, float16 or bfloat16, got '", name, "'"));
}

std::shared_ptr<const formats::Checkpoint> planned_checkpoint(const formats::Checkpoint& source,
                                                              const models::DecoderConfig& config,
                                                              const PlanOptions& options) {
  std::vector<formats::TensorSpec> specs;
  for (PlannedTensor& tensor : plan_tensors(config, options)) specs.push_back(std::move(tensor.spec));
  return formats::Checkpoint::planned(source, options.kind, specs);
}

}  // namespace minke::synth
