#include "models/loader.h"

#include <algorithm>

#include "base/error.h"
#include "models/packing.h"

namespace minke::models {

namespace {

/// Packs every tensor of a checkpoint.
class Packer final : public WeightVisitor {
 public:
  Packer(Packing& packing, const DecoderConfig& config, kernels::Numerics numerics)
      : packing_(packing), config_(config), numerics_(numerics) {}

  void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear& out) override {
    out.weight = packing_.matrix(role, layer, rows, cols);
    if (bias) out.bias = packing_.bias(role, layer, rows);
  }

  void vector(Role role, std::int64_t layer, std::int64_t size, std::vector<float>& out) override {
    out = packing_.vector(role, layer, size);
  }

  void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>& out) override {
    out.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) out.push_back(packing_.expert(role, layer, i, count, rows, cols));
  }

  void latent_heads(std::int64_t layer, MlaWeights& out) override {
    const MlaConfig& mla = config_.attention.mla;
    const std::int64_t heads = config_.attention.heads;
    if (!packing_.has_fused_latent(layer)) {
      experts(Role::k_b, layer, heads, mla.kv_lora_rank, mla.qk_nope_head_dim, out.k_b);
      experts(Role::v_b, layer, heads, mla.v_head_dim, mla.kv_lora_rank, out.v_b);
      return;
    }
    const formats::DType keys = transposed_type(packing_.latent_type(layer), numerics_);
    for (std::int64_t head = 0; head < heads; ++head) {
      out.k_b.push_back(packing_.latent_keys(layer, head, keys));
      out.v_b.push_back(packing_.latent_values(layer, head));
    }
    packing_.finish_latent(layer);
  }

 private:
  Packing& packing_;
  const DecoderConfig& config_;
  kernels::Numerics numerics_;
};

/// Takes every tensor of a tiled file as it is: matrices in place, vectors as copies.
class Mapper final : public WeightVisitor {
 public:
  Mapper(const formats::Checkpoint& checkpoint, const DecoderConfig& config, kernels::Numerics numerics)
      : checkpoint_(checkpoint), config_(config), numerics_(numerics), tensors_(checkpoint, config) {}

  void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear& out) override {
    out.weight = matrix(tensors_.matrix(role, layer, rows, cols), rows, cols);
    if (bias) out.bias = read_vector(tensors_.vector(role, layer, ".bias", rows));
  }

  void vector(Role role, std::int64_t layer, std::int64_t size, std::vector<float>& out) override {
    out = read_vector(tensors_.vector(role, layer, weight_suffix(role, checkpoint_.kind()), size));
  }

  void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>& out) override {
    out.reserve(static_cast<std::size_t>(count));
    if (checkpoint_.kind() == formats::CheckpointKind::gguf)
      return stack(tensors_.stack(role, layer, count, rows, cols), out);
    for (std::int64_t i = 0; i < count; ++i)
      out.push_back(matrix(tensors_.expert(role, layer, i, rows, cols), rows, cols));
  }

  void latent_heads(std::int64_t layer, MlaWeights& out) override {
    const MlaConfig& mla = config_.attention.mla;
    stack(tensors_.latent_keys(layer, numerics_), out.k_b);
    stack(tensors_.stack(Role::v_b, layer, config_.attention.heads, mla.v_head_dim, mla.kv_lora_rank), out.v_b);
  }

  void check_all_used() const { tensors_.check_all_used(); }

 private:
  static kernels::PackedMatrix matrix(const formats::TensorView& tensor, std::int64_t rows, std::int64_t cols) {
    return kernels::PackedMatrix::borrow(tensor.name, tensor.dtype, static_cast<std::uint64_t>(rows),
                                         static_cast<std::uint64_t>(cols), tensor.data);
  }

  static void stack(const formats::TensorView& tensor, std::vector<kernels::PackedMatrix>& out) {
    const auto count = static_cast<std::size_t>(tensor.shape.front());
    const std::size_t bytes = tensor.data.size() / count;
    for (std::size_t i = 0; i < count; ++i)
      out.push_back(kernels::PackedMatrix::borrow(tensor.name, tensor.dtype, tensor.shape[1], tensor.shape[2],
                                                  tensor.data.subspan(i * bytes, bytes)));
  }

  const formats::Checkpoint& checkpoint_;
  const DecoderConfig& config_;
  kernels::Numerics numerics_;
  CheckedTensors tensors_;
};

/// Experts' inputs are prepared once for all of them, in the form that their type reads.
void require_one_type(const std::string& path, std::size_t layer, std::string_view which,
                      const std::vector<kernels::PackedMatrix>& experts) {
  const auto other = std::find_if(experts.begin(), experts.end(), [&](const kernels::PackedMatrix& matrix) {
    return matrix.dtype() != experts.front().dtype();
  });
  if (other == experts.end()) return;
  const auto name = [](const kernels::PackedMatrix& matrix) { return formats::info(matrix.dtype()).name; };
  throw base::Error(base::ErrorCode::unsupported,
                    base::cat(path, ": layer ", layer, ": ", which, " of expert ", other - experts.begin(), " is ",
                              name(*other), ", that of expert 0 ", name(experts.front())),
                    "store a matrix of all experts of a layer in one type");
}

void require_alike_experts(const std::string& path, const DecoderWeights& weights) {
  for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
    const auto* moe = std::get_if<MoeWeights>(&weights.layers[layer].feed_forward);
    if (moe == nullptr) continue;
    require_one_type(path, layer, "gate", moe->gate);
    require_one_type(path, layer, "up", moe->up);
    require_one_type(path, layer, "down", moe->down);
  }
}

}  // namespace

DecoderWeights load_weights(const formats::Checkpoint& checkpoint, const DecoderConfig& config,
                            kernels::Numerics numerics, base::ThreadPool& pool, const LoadProgress& progress) {
  DecoderWeights weights;
  if (checkpoint.is_tiled()) {
    Mapper mapper(checkpoint, config, numerics);
    visit_weights(config, weights, mapper);
    mapper.check_all_used();
    weights.files.assign(checkpoint.files().begin(), checkpoint.files().end());
  } else {
    Packing packing(checkpoint, config, pool, progress);
    Packer packer(packing, config, numerics);
    visit_weights(config, weights, packer);
    packing.check_all_used();
  }
  require_alike_experts(checkpoint.path(), weights);
  checkpoint.check_files();
  return weights;
}

}  // namespace minke::models
