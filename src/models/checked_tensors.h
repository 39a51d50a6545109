// The tensors that a configuration calls for, by role: present, of the right shape and type, and none left over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/numerics.h"
#include "models/config.h"
#include "models/weights.h"

namespace minke::models {

/// What a tiled file adds to the name of latent keys that it holds in F32, too, for `exact`.
inline constexpr std::string_view kExactSuffix = ".exact";

/// Whether a tensor belongs to a multi-token prediction layer: those follow the decoder's and are not run.
bool is_nextn(std::string_view name, const DecoderConfig& config);

/// The tensors a configuration calls for, checked but not read. Errors: format (missing, or of another shape or size:
/// names checkpoint, tensor, expected, got), unsupported (another type).
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
  /// NAME.weight of the latent keys of all heads, [heads][kv_lora_rank][qk_nope_head_dim], as `numerics` want them.
  const formats::TensorView& latent_keys(std::int64_t layer, kernels::Numerics numerics);
  /// Whether NAME.weight is there.
  bool has(Role role, std::int64_t layer) const;
  /// Throws when tensors are left that nothing asked for.
  void check_all_used() const;

 private:
  const formats::TensorView& take(const std::string& name);
  const formats::TensorView& checked(const formats::TensorView& tensor, const std::vector<std::uint64_t>& shape) const;
  const formats::TensorView& checked_stack(const std::string& name, std::int64_t count, std::int64_t rows,
                                           std::int64_t cols);

  const formats::Checkpoint* checkpoint_;
  const DecoderConfig* config_;
  std::vector<bool> used_;
};

}  // namespace minke::models
