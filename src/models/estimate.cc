#include "models/estimate.h"

#include <algorithm>

#include "kernels/packed_matrix.h"
#include "models/checked_tensors.h"
#include "models/packing.h"
#include "models/weights.h"
#include "models/workspace.h"

namespace minke::models {

namespace {

class Measurer final : public WeightVisitor {
 public:
  Measurer(const formats::Checkpoint& checkpoint, const DecoderConfig& config, kernels::Numerics numerics)
      : checkpoint_(checkpoint), config_(config), numerics_(numerics), tensors_(checkpoint, config) {}

  void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear&) override {
    const formats::TensorView& tensor = tensors_.matrix(role, layer, rows, cols);
    const std::uint64_t packed = kernels::PackedMatrix::packed_bytes(tensor.dtype, static_cast<std::uint64_t>(rows),
                                                                     static_cast<std::uint64_t>(cols));
    // One row of the embedding is read per token, unless it is the output matrix too.
    const bool one_row = role == Role::embedding && !config_.tie_word_embeddings;
    const auto divisor = static_cast<std::uint64_t>(one_row ? rows : 1);
    read(add(role, tensor, packed), tensor.elements() / divisor, packed / divisor);
    add_scales(role, tensor);
    if (bias) add_plain(role, tensors_.vector(role, layer, ".bias", rows));
  }

  void vector(Role role, std::int64_t layer, std::int64_t size, std::vector<float>&) override {
    add_plain(role, tensors_.vector(role, layer, weight_suffix(role, checkpoint_.kind()), size));
  }

  void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>&) override {
    if (checkpoint_.kind() == formats::CheckpointKind::gguf) {
      add_some(role, tensors_.stack(role, layer, count, rows, cols), count, rows, cols,
               config_.feed_forward.moe.num_experts_per_tok);
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      // Of equal experts the first ones stand for the chosen.
      const bool chosen = i < config_.feed_forward.moe.num_experts_per_tok;
      add_some(role, tensors_.expert(role, layer, i, rows, cols), 1, rows, cols, chosen ? 1 : 0);
    }
  }

  void latent_heads(std::int64_t layer, MlaWeights&) override {
    const MlaConfig& mla = config_.attention.mla;
    const std::int64_t heads = config_.attention.heads;
    if (tensors_.has(Role::kv_b, layer) || !tensors_.has(Role::k_b, layer)) return fused_latent_heads(layer);
    add_some(Role::k_b, tensors_.latent_keys(layer, numerics_), heads, mla.kv_lora_rank, mla.qk_nope_head_dim, heads);
    add_some(Role::v_b, tensors_.stack(Role::v_b, layer, heads, mla.v_head_dim, mla.kv_lora_rank), heads,
             mla.v_head_dim, mla.kv_lora_rank, heads);
  }

  void check_all_used() const { tensors_.check_all_used(); }

  void count_nextn() {
    for (const formats::TensorView& tensor : checkpoint_.tensors()) {
      if (!is_nextn(tensor.name, config_)) continue;
      sizes.nextn.tensors += 1;
      sizes.nextn.bytes += tensor.bytes();
      if (!tensor.name.ends_with("_scale_inv")) sizes.nextn.parameters += tensor.elements();
    }
  }

  ModelSizes sizes;

 private:
  /// One half is held as the file has it, the other transposed, in a type of its own.
  void fused_latent_heads(std::int64_t layer) {
    const MlaConfig& mla = config_.attention.mla;
    const std::int64_t heads = config_.attention.heads;
    const formats::TensorView& tensor =
        tensors_.matrix(Role::kv_b, layer, heads * (mla.qk_nope_head_dim + mla.v_head_dim), mla.kv_lora_rank);
    const auto size = [](std::int64_t n) { return static_cast<std::uint64_t>(n); };
    const std::uint64_t packed =
        size(heads) * (kernels::PackedMatrix::packed_bytes(transposed_type(tensor.dtype, numerics_),
                                                           size(mla.kv_lora_rank), size(mla.qk_nope_head_dim)) +
                       kernels::PackedMatrix::packed_bytes(tensor.dtype, size(mla.v_head_dim), size(mla.kv_lora_rank)));
    read(add(Role::kv_b, tensor, packed), tensor.elements(), packed);
    add_scales(Role::kv_b, tensor);
  }

  /// `count` matrices of which one token reads `active`.
  void add_some(Role role, const formats::TensorView& tensor, std::int64_t count, std::int64_t rows, std::int64_t cols,
                std::int64_t active) {
    const std::uint64_t packed = kernels::PackedMatrix::packed_bytes(tensor.dtype, static_cast<std::uint64_t>(rows),
                                                                     static_cast<std::uint64_t>(cols));
    read(add(role, tensor, packed * static_cast<std::uint64_t>(count)),
         static_cast<std::uint64_t>(rows * cols * active), packed * static_cast<std::uint64_t>(active));
    add_scales(role, tensor);
  }

  /// FP8 scales: in the packed size already.
  void add_scales(Role role, const formats::TensorView& tensor) {
    if (tensor.dtype == formats::DType::f8_e4m3 && !tensor.tiled) add(role, tensors_.scales(tensor), 0, 0);
  }

  void add_plain(Role role, const formats::TensorView& tensor) {
    const std::uint64_t bytes = tensor.elements() * sizeof(float);
    read(add(role, tensor, bytes), tensor.elements(), bytes);
  }

  /// What a token reads of a group.
  void read(TensorGroup& group, std::uint64_t parameters, std::uint64_t bytes) {
    group.active_parameters += parameters;
    group.bytes_per_token += bytes;
    sizes.active_parameters += parameters;
    sizes.bytes_per_token += bytes;
  }

  TensorGroup& add(Role role, const formats::TensorView& tensor, std::uint64_t packed) {
    return add(role, tensor, packed, tensor.elements());
  }

  TensorGroup& add(Role role, const formats::TensorView& tensor, std::uint64_t packed, std::uint64_t parameters) {
    const std::string_view name = group_name(role);
    auto group = std::find_if(sizes.groups.begin(), sizes.groups.end(), [&](const TensorGroup& candidate) {
      return candidate.role == name && candidate.dtype == tensor.dtype;
    });
    if (group == sizes.groups.end())
      group = sizes.groups.insert(group, {.role = std::string(name), .dtype = tensor.dtype});
    group->tensors += 1;
    group->parameters += parameters;
    group->bytes += tensor.bytes();
    sizes.parameters += parameters;
    sizes.file_bytes += tensor.bytes();
    sizes.weight_bytes += packed;
    return *group;
  }

  const formats::Checkpoint& checkpoint_;
  const DecoderConfig& config_;
  kernels::Numerics numerics_;
  CheckedTensors tensors_;
};

}  // namespace

ModelSizes measure(const formats::Checkpoint& checkpoint, const DecoderConfig& config, kernels::Numerics numerics) {
  DecoderWeights unused;
  Measurer measurer(checkpoint, config, numerics);
  visit_weights(config, unused, measurer);
  measurer.check_all_used();
  measurer.count_nextn();
  measurer.sizes.mapped = checkpoint.is_tiled();
  return measurer.sizes;
}

kernels::KvLayout kv_layout(const DecoderConfig& config, kernels::KvType type) {
  const AttentionConfig& a = config.attention;
  if (a.kind == AttentionKind::mla)
    return {.kv_heads = 1,
            .k_dim = static_cast<std::size_t>(a.mla.kv_lora_rank + a.mla.qk_rope_head_dim),
            .v_dim = static_cast<std::size_t>(a.mla.kv_lora_rank),
            .type = type,
            .form = kernels::KvForm::latent};
  return {.kv_heads = static_cast<std::size_t>(a.kv_heads),
          .k_dim = static_cast<std::size_t>(a.head_dim),
          .v_dim = static_cast<std::size_t>(a.head_dim),
          .type = type};
}

std::uint64_t kv_bytes_per_token(const DecoderConfig& config, kernels::KvType type) {
  return kv_layout(config, type).bytes() * static_cast<std::uint64_t>(config.num_hidden_layers) / kernels::kKvBlock;
}

std::uint64_t workspace_bytes(const DecoderConfig& config, std::size_t rows) {
  return WorkspaceSizes(config).bytes(rows);
}

}  // namespace minke::models
