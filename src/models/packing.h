// A checkpoint's tensors, packed one by one: what loading keeps and what converting writes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "kernels/numerics.h"
#include "kernels/packed_matrix.h"
#include "models/checked_tensors.h"
#include "models/config.h"
#include "models/weights.h"

namespace minke::models {

using LoadProgress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// The type in which the half of a fused kv_b_proj that is transposed is held: its quantisation groups would lie across
/// the sums.
formats::DType transposed_type(formats::DType in_file, kernels::Numerics numerics);

/// A vector's values, of any plain type. Error(numeric) names the element that is not finite.
std::vector<float> read_vector(const formats::TensorView& tensor);

/// Errors as load_weights (models/loader.h). `progress` hears of every tensor that is done; what was read of the file
/// is released.
class Packing {
 public:
  Packing(const formats::Checkpoint& checkpoint, const DecoderConfig& config, base::ThreadPool& pool,
          const LoadProgress& progress);

  kernels::PackedMatrix matrix(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols);
  std::vector<float> bias(Role role, std::int64_t layer, std::int64_t rows);
  std::vector<float> vector(Role role, std::int64_t layer, std::int64_t size);
  /// Expert `index` of `count`, which are asked for in ascending order.
  kernels::PackedMatrix expert(Role role, std::int64_t layer, std::int64_t index, std::int64_t count, std::int64_t rows,
                               std::int64_t cols);

  /// Whether the latent's keys and values are one tensor, kv_b_proj [heads * (nope + value)][kv_lora_rank].
  bool has_fused_latent(std::int64_t layer) const;
  /// Of a fused one, a head's keys turned into [kv_lora_rank][nope], held in `dtype` (F32 or BF16).
  kernels::PackedMatrix latent_keys(std::int64_t layer, std::int64_t head, formats::DType dtype);
  /// Of a fused one, a head's values [value][kv_lora_rank].
  kernels::PackedMatrix latent_values(std::int64_t layer, std::int64_t head);
  /// The fused tensor's own type.
  formats::DType latent_type(std::int64_t layer);
  /// Releases the fused tensor.
  void finish_latent(std::int64_t layer);

  void check_all_used() const { tensors_.check_all_used(); }

 private:
  /// `first_row`: of `data` in the tensor.
  kernels::PackedMatrix pack(const formats::TensorView& tensor, std::span<const std::byte> data, std::int64_t rows,
                             std::int64_t cols, std::span<const std::uint32_t> order, std::int64_t first_row = 0);
  std::vector<std::uint32_t> row_order(Role role) const;
  const formats::TensorView& fused_latent(std::int64_t layer);
  void finish_tensor(const formats::TensorView& tensor);

  const formats::Checkpoint& checkpoint_;
  const DecoderConfig& config_;
  base::ThreadPool& pool_;
  const LoadProgress& progress_;
  CheckedTensors tensors_;
  std::uint64_t done_ = 0, total_;
  bool interleaved_;
};

}  // namespace minke::models
