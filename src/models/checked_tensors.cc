#include "models/checked_tensors.h"

#include "base/bytes.h"
#include "base/error.h"

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

/// Matrices of a tiled file are there as the kernels want them, whole.
void check_tiles(const formats::TensorView& tensor) {
  const std::uint64_t cols = tensor.shape.back(), rows = tensor.shape[tensor.shape.size() - 2];
  const std::uint64_t count = tensor.shape.size() == 3 ? tensor.shape.front() : 1;
  const std::uint64_t expected =
      base::checked_mul(count, kernels::PackedMatrix::packed_bytes(tensor.dtype, rows, cols), tensor.name);
  if (!tensor.tiled || tensor.data.size() != expected)
    throw Error(ErrorCode::format,
                cat(tensor.file->path(), ": tensor ", tensor.name, ": expected ", expected, " bytes of ",
                    formats::info(tensor.dtype).name, " tiles for ", tensor.shape_text(), ", got ", tensor.data.size(),
                    tensor.tiled ? " bytes" : " bytes that are not tiled"));
}

}  // namespace

bool is_nextn(std::string_view name, const DecoderConfig& config) {
  for (std::int64_t i = 0; i < config.num_nextn_predict_layers; ++i)
    for (const std::string_view prefix : {"model.layers.", "blk."})
      if (name.starts_with(cat(prefix, config.num_hidden_layers + i, "."))) return true;
  return false;
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
  if (checkpoint_->is_tiled()) check_tiles(tensor);
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
  return checked_stack(tensor_name(role, layer, checkpoint_->kind()) + ".weight", count, rows, cols);
}

const formats::TensorView& CheckedTensors::checked_stack(const std::string& name, std::int64_t count, std::int64_t rows,
                                                         std::int64_t cols) {
  return checked(take(name), {static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(rows),
                              static_cast<std::uint64_t>(cols)});
}

const formats::TensorView& CheckedTensors::latent_keys(std::int64_t layer, kernels::Numerics numerics) {
  const MlaConfig& mla = config_->attention.mla;
  const std::string name = tensor_name(Role::k_b, layer, checkpoint_->kind()) + ".weight",
                    exact = cat(name, kExactSuffix);
  const auto of = [&](const std::string& which) -> const formats::TensorView& {
    return checked_stack(which, config_->attention.heads, mla.kv_lora_rank, mla.qk_nope_head_dim);
  };
  const formats::TensorView& keys = of(name);
  if (!checkpoint_->is_tiled() || checkpoint_->find(exact) == nullptr) return keys;
  const formats::TensorView& exact_keys = of(exact);
  return numerics == kernels::Numerics::exact ? exact_keys : keys;
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
  if (tensor.tiled)
    throw Error(ErrorCode::format, cat(tensor.file->path(), ": tensor ", tensor.name, ": expected no tiles"));
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

}  // namespace minke::models
