#include "models/loader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/codec.h"
#include "models/architectures.h"

namespace minke::models {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

/// Tensors that published checkpoints carry but no forward pass reads: rotary tables of old versions of
/// transformers, and the head that a tied model does not use.
bool is_harmless(std::string_view name, const DecoderConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight" ||
         (config.tie_word_embeddings && name == "lm_head.weight") || is_nextn(name, config);
}

std::vector<float> read_vector(const formats::TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  if (tensor.dtype == formats::DType::f32) {
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t bits;
      std::memcpy(&bits, tensor.data.data() + 2 * i, 2);
      values[i] = tensor.dtype == formats::DType::bf16 ? std::bit_cast<float>(std::uint32_t{bits} << 16)
                                                       : kernels::half_to_float(bits);
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw Error(ErrorCode::numeric,
                  cat(tensor.file->path(), ": tensor ", tensor.name, ": element ", i, " is not finite"));
  return values;
}

/// Puts the rotated rows of each head into half-rotation order where the file has pair after pair: ggml rotates
/// neighbours (2i, 2i+1) for the llama architecture, and so do DeepSeek's released weights. Heads of `head_dim`
/// rows, the rotated ones from `first`.
std::vector<std::uint32_t> undo_interleave(std::int64_t heads, std::int64_t head_dim, std::int64_t first) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(heads * head_dim));
  const std::int64_t half = (head_dim - first) / 2;
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t i = 0; i < head_dim; ++i) {
      const std::int64_t r = i - first;
      const std::int64_t from = r < 0 ? i : first + (r < half ? 2 * r : 2 * (r - half) + 1);
      order[static_cast<std::size_t>(h * head_dim + i)] = static_cast<std::uint32_t>(h * head_dim + from);
    }
  return order;
}

/// A float as BF16, rounded to nearest even.
std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

class Loader final : public WeightVisitor {
 public:
  Loader(const formats::Checkpoint& checkpoint, const DecoderConfig& config, kernels::Numerics numerics,
         base::ThreadPool& pool, const LoadProgress& progress)
      : checkpoint_(checkpoint),
        config_(config),
        numerics_(numerics),
        pool_(pool),
        progress_(progress),
        tensors_(checkpoint, config),
        total_(checkpoint.tensor_bytes()),
        interleaved_(checkpoint.kind() == formats::CheckpointKind::gguf &&
                     find_architecture(architecture_name(checkpoint), checkpoint.kind(), checkpoint.path())
                         .blocks.gguf_interleaved_rotary) {}

  void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear& out) override {
    // The tensor first: an order is as large as the configuration says, and only a tensor that is there proves it.
    const formats::TensorView& tensor = tensors_.matrix(role, layer, rows, cols);
    const std::vector<std::uint32_t> order = row_order(role);
    out.weight = pack(tensor, tensor.data, rows, cols, order);
    finish_tensor(tensor);
    if (!bias) return;
    const formats::TensorView& values = tensors_.vector(role, layer, ".bias", rows);
    out.bias = read_vector(values);
    if (!order.empty()) {
      const std::vector<float> in_file = out.bias;
      for (std::size_t i = 0; i < order.size(); ++i) out.bias[i] = in_file[order[i]];
    }
    finish_tensor(values);
  }

  void vector(Role role, std::int64_t layer, std::int64_t size, std::vector<float>& out) override {
    const formats::TensorView& tensor = tensors_.vector(role, layer, weight_suffix(role, checkpoint_.kind()), size);
    out = read_vector(tensor);
    finish_tensor(tensor);
  }

  void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>& out) override {
    out.reserve(static_cast<std::size_t>(count));
    if (checkpoint_.kind() == formats::CheckpointKind::gguf) return stacked(role, layer, count, rows, cols, out);
    for (std::int64_t i = 0; i < count; ++i) {
      const formats::TensorView& tensor = tensors_.expert(role, layer, i, rows, cols);
      out.push_back(pack(tensor, tensor.data, rows, cols, {}));
      finish_tensor(tensor);
    }
  }

  void latent_heads(std::int64_t layer, MlaWeights& out) override {
    const MlaConfig& mla = config_.attention.mla;
    if (tensors_.has(Role::kv_b, layer) || !tensors_.has(Role::k_b, layer)) return fused_latent_heads(layer, out);
    stacked(Role::k_b, layer, config_.attention.heads, mla.kv_lora_rank, mla.qk_nope_head_dim, out.k_b);
    stacked(Role::v_b, layer, config_.attention.heads, mla.v_head_dim, mla.kv_lora_rank, out.v_b);
  }

  void check_all_used() const { tensors_.check_all_used(); }

 private:
  /// `first_row`: of `data` in the tensor.
  kernels::PackedMatrix pack(const formats::TensorView& tensor, std::span<const std::byte> data, std::int64_t rows,
                             std::int64_t cols, std::span<const std::uint32_t> order, std::int64_t first_row = 0) {
    kernels::MatrixSource source{.name = tensor.name,
                                 .dtype = tensor.dtype,
                                 .rows = static_cast<std::uint64_t>(rows),
                                 .cols = static_cast<std::uint64_t>(cols),
                                 .data = data,
                                 .row_order = order,
                                 .first_row = static_cast<std::uint64_t>(first_row)};
    if (tensor.dtype == formats::DType::f8_e4m3) source.scales = tensors_.scales(tensor).data;
    try {
      return kernels::PackedMatrix::pack(source, pool_);
    } catch (const Error& error) {
      throw Error(error.code(), cat(tensor.file->path(), ": ", error.message()), error.hint());
    }
  }

  std::vector<std::uint32_t> row_order(Role role) const {
    const AttentionConfig& a = config_.attention;
    if (a.kind == AttentionKind::mla) {
      if (!a.mla.rope_interleave) return {};
      if (role == Role::q || role == Role::q_b) return undo_interleave(a.heads, a.head_dim, a.mla.qk_nope_head_dim);
      if (role == Role::kv_a)
        return undo_interleave(1, a.mla.kv_lora_rank + a.mla.qk_rope_head_dim, a.mla.kv_lora_rank);
      return {};
    }
    if (!interleaved_ || (role != Role::q && role != Role::k)) return {};
    return undo_interleave(role == Role::q ? a.heads : a.kv_heads, a.head_dim, 0);
  }

  /// One head's rows [nope][kv_lora_rank] of kv_b_proj, turned into [kv_lora_rank][nope].
  kernels::PackedMatrix transposed_head(const formats::TensorView& tensor, std::span<const std::byte> rows_data,
                                        std::int64_t first_row) {
    const std::int64_t rank = config_.attention.mla.kv_lora_rank;
    const std::int64_t nope = config_.attention.mla.qk_nope_head_dim;
    const kernels::PackedMatrix rows = pack(tensor, rows_data, nope, rank, {}, first_row);
    const auto r_count = static_cast<std::size_t>(rank);
    const auto n_count = static_cast<std::size_t>(nope);
    std::vector<float> values(r_count), transposed(r_count * n_count);
    for (std::size_t n = 0; n < n_count; ++n) {
      rows.unpack_row(n, values);
      for (std::size_t r = 0; r < r_count; ++r) transposed[r * n_count + n] = values[r];
    }
    formats::TensorView view{
        .name = tensor.name, .dtype = transposed_type(tensor.dtype, numerics_), .file = tensor.file};
    if (view.dtype == formats::DType::f32) return pack(view, std::as_bytes(std::span(transposed)), rank, nope, {});
    std::vector<std::uint16_t> halves(transposed.size());
    std::transform(transposed.begin(), transposed.end(), halves.begin(), to_bf16);
    return pack(view, std::as_bytes(std::span(halves)), rank, nope, {});
  }

  void fused_latent_heads(std::int64_t layer, MlaWeights& out) {
    const MlaConfig& mla = config_.attention.mla;
    const std::int64_t head_rows = mla.qk_nope_head_dim + mla.v_head_dim;
    const formats::TensorView& tensor =
        tensors_.matrix(Role::kv_b, layer, config_.attention.heads * head_rows, mla.kv_lora_rank);
    const std::size_t row_bytes = tensor.data.size() / static_cast<std::size_t>(config_.attention.heads * head_rows);
    for (std::int64_t head = 0; head < config_.attention.heads; ++head) {
      const auto first = static_cast<std::size_t>(head * head_rows) * row_bytes;
      const auto nope = static_cast<std::size_t>(mla.qk_nope_head_dim) * row_bytes;
      const auto value = static_cast<std::size_t>(mla.v_head_dim) * row_bytes;
      out.k_b.push_back(transposed_head(tensor, tensor.data.subspan(first, nope), head * head_rows));
      out.v_b.push_back(pack(tensor, tensor.data.subspan(first + nope, value), mla.v_head_dim, mla.kv_lora_rank, {},
                             head * head_rows + mla.qk_nope_head_dim));
    }
    finish_tensor(tensor);
  }

  void stacked(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>& out) {
    const formats::TensorView& tensor = tensors_.stack(role, layer, count, rows, cols);
    const std::size_t bytes = tensor.data.size() / static_cast<std::size_t>(count);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto matrix = tensor.data.subspan(static_cast<std::size_t>(i) * bytes, bytes);
      out.push_back(pack(tensor, matrix, rows, cols, {}));
      tensor.file->release(matrix);  // one by one: a layer's experts together are 2 GB in DeepSeek-V3
    }
    finish_tensor(tensor);
  }

  void finish_tensor(const formats::TensorView& tensor) {
    tensor.file->check();
    // The packed copy is the only one from here on.
    tensor.file->release(tensor.data);
    done_ += tensor.data.size();
    if (progress_) progress_(done_, total_);
  }

  const formats::Checkpoint& checkpoint_;
  const DecoderConfig& config_;
  kernels::Numerics numerics_;
  base::ThreadPool& pool_;
  const LoadProgress& progress_;
  CheckedTensors tensors_;
  std::uint64_t done_ = 0, total_;
  bool interleaved_;
};

}  // namespace

bool is_nextn(std::string_view name, const DecoderConfig& config) {
  for (std::int64_t i = 0; i < config.num_nextn_predict_layers; ++i)
    for (const std::string_view prefix : {"model.layers.", "blk."})
      if (name.starts_with(cat(prefix, config.num_hidden_layers + i, "."))) return true;
  return false;
}

formats::DType transposed_type(formats::DType in_file, kernels::Numerics numerics) {
  using formats::DType;
  if (in_file == DType::bf16) return DType::bf16;
  const bool plain = in_file == DType::f32 || in_file == DType::f16;
  return plain || numerics == kernels::Numerics::exact ? DType::f32 : DType::bf16;
}

CheckedTensors::CheckedTensors(const formats::Checkpoint& checkpoint, const DecoderConfig& config)
    : checkpoint_(&checkpoint), config_(&config), used_(checkpoint.tensors().size(), false) {}

const formats::TensorView& CheckedTensors::take(const std::string& name) {
  const formats::TensorView& tensor = checkpoint_->require(name);
  used_[static_cast<std::size_t>(&tensor - checkpoint_->tensors().data())] = true;
  return tensor;
}

const formats::TensorView& CheckedTensors::checked(const formats::TensorView& tensor,
                                                   const std::vector<std::uint64_t>& shape) const {
  if (tensor.shape != shape)
    throw Error(ErrorCode::format,
                cat(tensor.file->path(), ": tensor ", tensor.name, ": expected ",
                    formats::TensorView{.shape = shape}.shape_text(), ", got ", tensor.shape_text()));
  return tensor;
}

const formats::TensorView& CheckedTensors::matrix(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols) {
  return checked(take(tensor_name(role, layer, checkpoint_->kind()) + ".weight"),
                 {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)});
}

const formats::TensorView& CheckedTensors::expert(Role role, std::int64_t layer, std::int64_t index, std::int64_t rows,
                                                  std::int64_t cols) {
  return checked(take(tensor_name(role, layer, checkpoint_->kind(), index) + ".weight"),
                 {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)});
}

const formats::TensorView& CheckedTensors::stack(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows,
                                                 std::int64_t cols) {
  return checked(
      take(tensor_name(role, layer, checkpoint_->kind()) + ".weight"),
      {static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)});
}

const formats::TensorView& CheckedTensors::scales(const formats::TensorView& weight) {
  const formats::TensorView& tensor = take(weight.name + "_scale_inv");
  const auto blocks = [](std::uint64_t n) { return n / 128 + (n % 128 != 0 ? 1 : 0); };
  checked(tensor, {blocks(weight.shape[0]), blocks(weight.shape[1])});
  if (tensor.dtype != formats::DType::f32)
    throw Error(ErrorCode::unsupported, cat(tensor.file->path(), ": tensor ", tensor.name, ": expected F32, got ",
                                            formats::info(tensor.dtype).name));
  return tensor;
}

bool CheckedTensors::has(Role role, std::int64_t layer) const {
  return checkpoint_->find(tensor_name(role, layer, checkpoint_->kind()) + ".weight") != nullptr;
}

const formats::TensorView& CheckedTensors::vector(Role role, std::int64_t layer, std::string_view suffix,
                                                  std::int64_t size) {
  const formats::TensorView& tensor = take(cat(tensor_name(role, layer, checkpoint_->kind()), suffix));
  if (tensor.shape != std::vector<std::uint64_t>{static_cast<std::uint64_t>(size)})
    throw Error(ErrorCode::format, cat(tensor.file->path(), ": tensor ", tensor.name, ": expected [", size, "], got ",
                                       tensor.shape_text()));
  if (tensor.dtype != formats::DType::f32 && tensor.dtype != formats::DType::bf16 &&
      tensor.dtype != formats::DType::f16)
    throw Error(ErrorCode::unsupported, cat(tensor.file->path(), ": tensor ", tensor.name,
                                            ": expected F32, F16 or BF16, got ", formats::info(tensor.dtype).name));
  return tensor;
}

void CheckedTensors::check_all_used() const {
  const auto tensors = checkpoint_->tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (!used_[i] && !is_harmless(tensors[i].name, *config_))
      throw Error(
          ErrorCode::unsupported,
          cat(tensors[i].file->path(), ": tensor ", tensors[i].name, " has no place in architecture '",
              config_->architecture, "' as this version knows it"),
          "The checkpoint holds another model than its configuration says; running it would give wrong answers.");
}

DecoderWeights load_weights(const formats::Checkpoint& checkpoint, const DecoderConfig& config,
                            kernels::Numerics numerics, base::ThreadPool& pool, const LoadProgress& progress) {
  DecoderWeights weights;
  Loader loader(checkpoint, config, numerics, pool, progress);
  visit_weights(config, weights, loader);
  loader.check_all_used();
  checkpoint.check_files();
  return weights;
}

}  // namespace minke::models
