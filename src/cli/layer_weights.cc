#include "cli/layer_weights.h"

#include <utility>

#include "cli/random_weights.h"
#include "kernels/packed_matrix.h"

namespace minke::cli {
namespace {

using formats::DType;
using kernels::PackedMatrix;
using models::Role;

bool is_outside(Role role) { return role == Role::embedding || role == Role::output || role == Role::output_norm; }

bool is_attention(Role role) { return models::group_name(role) == "attention"; }

std::uint64_t packed_bytes(DType dtype, std::int64_t rows, std::int64_t cols) {
  return PackedMatrix::packed_bytes(dtype, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols));
}

class Counter final : public models::WeightVisitor {
 public:
  Counter(const models::DecoderConfig& config, DType dtype) : config_(config), dtype_(dtype) {}

  void linear(Role role, std::int64_t, std::int64_t rows, std::int64_t cols, bool, models::Linear&) override {
    if (is_outside(role)) return;
    (is_attention(role) ? bytes.attention : bytes.shared) += packed_bytes(layer_dtype(role, cols, dtype_), rows, cols);
  }
  void vector(Role, std::int64_t, std::int64_t, std::vector<float>&) override {}
  void experts(Role role, std::int64_t, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<PackedMatrix>&) override {
    const std::uint64_t one = packed_bytes(layer_dtype(role, cols, dtype_), rows, cols);
    bytes.expert += one;
    bytes.experts += one * static_cast<std::uint64_t>(count);
  }
  void latent_heads(std::int64_t, models::MlaWeights&) override {
    const models::MlaConfig& mla = config_.attention.mla;
    const std::uint64_t head =
        packed_bytes(layer_dtype(Role::k_b, mla.qk_nope_head_dim, dtype_), mla.kv_lora_rank, mla.qk_nope_head_dim) +
        packed_bytes(layer_dtype(Role::v_b, mla.kv_lora_rank, dtype_), mla.v_head_dim, mla.kv_lora_rank);
    bytes.attention += head * static_cast<std::uint64_t>(config_.attention.heads);
  }

  LayerBytes bytes;

 private:
  const models::DecoderConfig& config_;
  DType dtype_;
};

class Maker final : public models::WeightVisitor {
 public:
  Maker(const models::DecoderConfig& config, DType dtype, base::ThreadPool& pool,
        const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : config_(config),
        dtype_(dtype),
        pool_(pool),
        progress_(progress),
        total_(measure_layer(config, dtype).total()) {}

  void linear(Role role, std::int64_t, std::int64_t rows, std::int64_t cols, bool bias, models::Linear& out) override {
    if (is_outside(role)) return;
    out.weight = matrix(role, rows, cols);
    if (bias) out.bias = random_floats(static_cast<std::size_t>(rows), ++seed_);
  }
  void vector(Role role, std::int64_t, std::int64_t size, std::vector<float>& out) override {
    if (is_outside(role)) return;
    const bool bias = role == Role::router_bias;
    out.assign(static_cast<std::size_t>(size), bias ? 0.0F : 1.0F);
  }
  void experts(Role role, std::int64_t, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<PackedMatrix>& out) override {
    for (std::int64_t i = 0; i < count; ++i) out.push_back(matrix(role, rows, cols));
  }
  void latent_heads(std::int64_t, models::MlaWeights& out) override {
    const models::MlaConfig& mla = config_.attention.mla;
    for (std::int64_t head = 0; head < config_.attention.heads; ++head) {
      out.k_b.push_back(matrix(Role::k_b, mla.kv_lora_rank, mla.qk_nope_head_dim));
      out.v_b.push_back(matrix(Role::v_b, mla.v_head_dim, mla.kv_lora_rank));
    }
  }

 private:
  PackedMatrix matrix(Role role, std::int64_t rows, std::int64_t cols) {
    PackedMatrix made = random_matrix("layer", layer_dtype(role, cols, dtype_), static_cast<std::uint64_t>(rows),
                                      static_cast<std::uint64_t>(cols), ++seed_, pool_);
    done_ += made.bytes();
    progress_(done_, total_);
    return made;
  }

  const models::DecoderConfig& config_;
  DType dtype_;
  base::ThreadPool& pool_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::uint64_t done_ = 0, total_, seed_ = 0;
};

}  // namespace

models::DecoderConfig one_layer(const models::DecoderConfig& config) {
  models::DecoderConfig layer = config;
  layer.num_hidden_layers = 1;
  layer.num_nextn_predict_layers = 0;
  layer.tie_word_embeddings = true;
  layer.feed_forward.kinds = {config.feed_forward.kinds.back()};
  layer.feed_forward.moe.first_k_dense_replace = 0;
  return layer;
}

DType layer_dtype(Role role, std::int64_t cols, DType wanted) {
  const bool fits = cols % formats::info(wanted).block_elements == 0;
  return fits && role != Role::router && role != Role::k_b ? wanted : DType::bf16;
}

LayerBytes measure_layer(const models::DecoderConfig& layer, DType dtype) {
  Counter counter(layer, dtype);
  models::DecoderWeights nothing;
  models::visit_weights(layer, nothing, counter);
  return counter.bytes;
}

models::LayerWeights random_layer(const models::DecoderConfig& layer, DType dtype, base::ThreadPool& pool,
                                  const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  Maker maker(layer, dtype, pool, progress);
  models::DecoderWeights weights;
  models::visit_weights(layer, weights, maker);
  return std::move(weights.layers.front());
}

}  // namespace minke::cli
