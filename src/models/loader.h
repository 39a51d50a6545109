// Checkpoint -> DecoderWeights: every tensor checked for presence, shape and type, packed, and accounted for.
#pragma once

#include <cstdint>
#include <functional>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "kernels/numerics.h"
#include "models/config.h"
#include "models/weights.h"

namespace minke::models {

using LoadProgress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// Errors: format (a tensor missing or of another shape or kind: names checkpoint, tensor, expected, got),
/// numeric (NaN in scales or weights), unsupported (the checkpoint has tensors that this architecture does
/// not use: it is another model than its configuration says), io (file truncated meanwhile).
/// `numerics`: a latent projection whose transpose would cross quantisation groups is held in F32 in `exact`, BF16 in
/// `fast`.
DecoderWeights load_weights(const formats::Checkpoint& checkpoint, const DecoderConfig& config,
                            kernels::Numerics numerics, base::ThreadPool& pool, const LoadProgress& progress);

/// Whether a tensor belongs to a multi-token prediction layer: those follow the decoder's and are not run.
bool is_nextn(std::string_view name, const DecoderConfig& config);

/// The type in which the half of a fused kv_b_proj that is transposed is held (load_weights).
formats::DType transposed_type(formats::DType in_file, kernels::Numerics numerics);

/// The tensors a configuration calls for, checked as load_weights does but not read.
class CheckedTensors {
 public:
  CheckedTensors(const formats::Checkpoint& checkpoint, const DecoderConfig& config);

  /// NAME.weight as [rows][cols].
  const formats::TensorView& matrix(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols);
  /// NAME + suffix as (size), of a plain type.
  const formats::TensorView& vector(Role role, std::int64_t layer, std::string_view suffix, std::int64_t size);
  /// NAME.weight of one expert of a safetensors checkpoint.
  const formats::TensorView& expert(Role role, std::int64_t layer, std::int64_t index, std::int64_t rows,
                                    std::int64_t cols);
  /// NAME.weight as [count][rows][cols] (GGUF).
  const formats::TensorView& stack(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows,
                                   std::int64_t cols);
  /// The scales of an FP8 tensor: NAME.weight_scale_inv, F32 [ceil(rows / 128)][ceil(cols / 128)]. It multiplies,
  /// whatever its name says.
  const formats::TensorView& scales(const formats::TensorView& weight);
  /// Whether NAME.weight is there.
  bool has(Role role, std::int64_t layer) const;
  /// Throws when tensors are left that nothing asked for.
  void check_all_used() const;

 private:
  const formats::TensorView& take(const std::string& name);
  const formats::TensorView& checked(const formats::TensorView& tensor, const std::vector<std::uint64_t>& shape) const;

  const formats::Checkpoint* checkpoint_;
  const DecoderConfig* config_;
  std::vector<bool> used_;
};

}  // namespace minke::models
