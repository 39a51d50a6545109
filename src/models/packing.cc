#include "models/packing.h"

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

std::size_t row_bytes(const formats::TensorView& tensor) {
  return tensor.data.size() / static_cast<std::size_t>(tensor.shape.front());
}

}  // namespace

formats::DType transposed_type(formats::DType in_file, kernels::Numerics numerics) {
  using formats::DType;
  if (in_file == DType::bf16) return DType::bf16;
  const bool plain = in_file == DType::f32 || in_file == DType::f16;
  return plain || numerics == kernels::Numerics::exact ? DType::f32 : DType::bf16;
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

Packing::Packing(const formats::Checkpoint& checkpoint, const DecoderConfig& config, base::ThreadPool& pool,
                 const LoadProgress& progress)
    : checkpoint_(checkpoint),
      config_(config),
      pool_(pool),
      progress_(progress),
      tensors_(checkpoint, config),
      total_(checkpoint.tensor_bytes()),
      interleaved_(checkpoint.kind() == formats::CheckpointKind::gguf &&
                   find_architecture(architecture_name(checkpoint), checkpoint.kind(), checkpoint.path())
                       .blocks.gguf_interleaved_rotary) {}

kernels::PackedMatrix Packing::matrix(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols) {
  // The tensor first: an order is as large as the configuration says, and only a tensor that is there proves it.
  const formats::TensorView& tensor = tensors_.matrix(role, layer, rows, cols);
  kernels::PackedMatrix packed = pack(tensor, tensor.data, rows, cols, row_order(role));
  finish_tensor(tensor);
  return packed;
}

std::vector<float> Packing::bias(Role role, std::int64_t layer, std::int64_t rows) {
  const formats::TensorView& tensor = tensors_.vector(role, layer, ".bias", rows);
  std::vector<float> values = read_vector(tensor);
  if (const std::vector<std::uint32_t> order = row_order(role); !order.empty()) {
    const std::vector<float> in_file = values;
    for (std::size_t i = 0; i < order.size(); ++i) values[i] = in_file[order[i]];
  }
  finish_tensor(tensor);
  return values;
}

std::vector<float> Packing::vector(Role role, std::int64_t layer, std::int64_t size) {
  const formats::TensorView& tensor = tensors_.vector(role, layer, weight_suffix(role, checkpoint_.kind()), size);
  std::vector<float> values = read_vector(tensor);
  finish_tensor(tensor);
  return values;
}

kernels::PackedMatrix Packing::expert(Role role, std::int64_t layer, std::int64_t index, std::int64_t count,
                                      std::int64_t rows, std::int64_t cols) {
  const bool latent = role == Role::k_b || role == Role::v_b;
  if (checkpoint_.kind() != formats::CheckpointKind::gguf && !latent) {
    const formats::TensorView& tensor = tensors_.expert(role, layer, index, rows, cols);
    kernels::PackedMatrix packed = pack(tensor, tensor.data, rows, cols, {});
    finish_tensor(tensor);
    return packed;
  }
  const formats::TensorView& tensor = tensors_.stack(role, layer, count, rows, cols);
  const std::size_t bytes = row_bytes(tensor);
  const auto data = tensor.data.subspan(static_cast<std::size_t>(index) * bytes, bytes);
  kernels::PackedMatrix packed = pack(tensor, data, rows, cols, {});
  tensor.file->release(data);  // one by one: a layer's experts together are 2 GB in DeepSeek-V3
  if (index + 1 == count) finish_tensor(tensor);
  return packed;
}

bool Packing::has_fused_latent(std::int64_t layer) const {
  return tensors_.has(Role::kv_b, layer) || !tensors_.has(Role::k_b, layer);
}

const formats::TensorView& Packing::fused_latent(std::int64_t layer) {
  const MlaConfig& mla = config_.attention.mla;
  return tensors_.matrix(Role::kv_b, layer, config_.attention.heads * (mla.qk_nope_head_dim + mla.v_head_dim),
                         mla.kv_lora_rank);
}

kernels::PackedMatrix Packing::latent_keys(std::int64_t layer, std::int64_t head, formats::DType dtype) {
  const MlaConfig& mla = config_.attention.mla;
  const formats::TensorView& tensor = fused_latent(layer);
  const std::int64_t first_row = head * (mla.qk_nope_head_dim + mla.v_head_dim);
  const auto data = tensor.data.subspan(static_cast<std::size_t>(first_row) * row_bytes(tensor),
                                        static_cast<std::size_t>(mla.qk_nope_head_dim) * row_bytes(tensor));
  const kernels::PackedMatrix rows = pack(tensor, data, mla.qk_nope_head_dim, mla.kv_lora_rank, {}, first_row);
  const auto r_count = static_cast<std::size_t>(mla.kv_lora_rank);
  const auto n_count = static_cast<std::size_t>(mla.qk_nope_head_dim);
  std::vector<float> values(r_count), transposed(r_count * n_count);
  for (std::size_t n = 0; n < n_count; ++n) {
    rows.unpack_row(n, values);
    for (std::size_t r = 0; r < r_count; ++r) transposed[r * n_count + n] = values[r];
  }
  const formats::TensorView view{.name = tensor.name, .dtype = dtype, .file = tensor.file};
  if (dtype == formats::DType::f32)
    return pack(view, std::as_bytes(std::span(transposed)), mla.kv_lora_rank, mla.qk_nope_head_dim, {});
  std::vector<std::uint16_t> halves(transposed.size());
  std::transform(transposed.begin(), transposed.end(), halves.begin(), to_bf16);
  return pack(view, std::as_bytes(std::span(halves)), mla.kv_lora_rank, mla.qk_nope_head_dim, {});
}

kernels::PackedMatrix Packing::latent_values(std::int64_t layer, std::int64_t head) {
  const MlaConfig& mla = config_.attention.mla;
  const formats::TensorView& tensor = fused_latent(layer);
  const std::int64_t first_row = head * (mla.qk_nope_head_dim + mla.v_head_dim) + mla.qk_nope_head_dim;
  const auto data = tensor.data.subspan(static_cast<std::size_t>(first_row) * row_bytes(tensor),
                                        static_cast<std::size_t>(mla.v_head_dim) * row_bytes(tensor));
  return pack(tensor, data, mla.v_head_dim, mla.kv_lora_rank, {}, first_row);
}

formats::DType Packing::latent_type(std::int64_t layer) { return fused_latent(layer).dtype; }

void Packing::finish_latent(std::int64_t layer) { finish_tensor(fused_latent(layer)); }

kernels::PackedMatrix Packing::pack(const formats::TensorView& tensor, std::span<const std::byte> data,
                                    std::int64_t rows, std::int64_t cols, std::span<const std::uint32_t> order,
                                    std::int64_t first_row) {
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

std::vector<std::uint32_t> Packing::row_order(Role role) const {
  const AttentionConfig& a = config_.attention;
  if (a.kind == AttentionKind::mla) {
    if (!a.mla.rope_interleave) return {};
    if (role == Role::q || role == Role::q_b) return undo_interleave(a.heads, a.head_dim, a.mla.qk_nope_head_dim);
    if (role == Role::kv_a) return undo_interleave(1, a.mla.kv_lora_rank + a.mla.qk_rope_head_dim, a.mla.kv_lora_rank);
    return {};
  }
  if (!interleaved_ || (role != Role::q && role != Role::k)) return {};
  return undo_interleave(role == Role::q ? a.heads : a.kv_heads, a.head_dim, 0);
}

void Packing::finish_tensor(const formats::TensorView& tensor) {
  tensor.file->check();
  // The packed copy is the only one from here on.
  tensor.file->release(tensor.data);
  done_ += tensor.data.size();
  if (progress_) progress_(done_, total_);
}

}  // namespace minke::models
