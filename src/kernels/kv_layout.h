// How keys and values of 64 tokens lie in one block of the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace minke::kernels {

/// Tokens in a block: also the unit of prefix reuse and of DeepSeek's own context cache.
inline constexpr std::size_t kKvBlock = 64;

/// The largest k_dim and v_dim: what attention's scratch, on each thread's stack, is sized for.
inline constexpr std::size_t kMaxAttentionDim = 1024;

/// Where a row's past is cut into splits that are summed apart and merged in ascending order, so that several threads
/// can share one row: by position alone, the same for one row or many. Sixteen splits of 4 blocks (256 tokens: merging
/// costs under 1 % of the sums, and SmolLM2's 3 kv heads make 6 even tasks at 500 tokens), then eight of every doubled
/// length, so that there are never many: 56 at 131,072 tokens.
class KvSplits {
 public:
  static constexpr std::size_t kMost = 16 + 8 * 20;  ///< for 2^32 positions
  constexpr KvSplits() {
    for (std::size_t i = 0; i < kMost; ++i) {
      const std::size_t next = i + 1, level = next < 16 ? 0 : (next - 16) / 8;
      ends_[i] = static_cast<std::uint32_t>(next < 16 ? 4 * next : (64 + (next - 16) % 8 * 8) << level);
    }
  }
  /// Split i ends before block ends()[i], where the next one begins.
  constexpr const std::uint32_t* ends() const noexcept { return ends_; }
  /// Splits of the past of a row at `position`, which it is part of.
  constexpr std::size_t count(std::uint32_t position) const noexcept {
    std::size_t i = 0;
    while (ends_[i] <= position / kKvBlock) ++i;
    return i + 1;
  }

 private:
  std::uint32_t ends_[kMost] = {};
};

/// Channels of a key or a latent that share a scale in q8.
inline constexpr std::size_t kKeyGroup = 8, kLatentGroup = 16;

/// q8: 8-bit integers with a scale per token and kKeyGroup channels of keys, kLatentGroup of latents, all of values.
enum class KvType { f32, bf16, q8 };

constexpr std::string_view to_string(KvType type) {
  return type == KvType::f32 ? "f32" : type == KvType::bf16 ? "bf16" : "q8";
}

/// What a cache holds per token.
enum class KvForm {
  heads,   ///< keys and values of every kv head (grouped-query attention)
  latent,  ///< one vector that all heads read as key, its first v_dim values as value (absorbed MLA)
};

/// One attention layer's part of a block; bf16 is rounded to nearest even.
/// heads: keys are stored transposed ([kv_heads][k_dim][64]) so that a score is one lane per token; values as
/// [kv_heads][64][v_stride] so that an output is one lane per channel: neither sum ever crosses lanes. In bf16 two
/// neighbours of what a sum runs over lie in each lane, as matrix tiles read them and vectors like to: keys
/// [kv_heads][k_dim / 2][64][2], a last odd channel beside zeros, values [kv_heads][32][v_stride][2].
/// latent: [64][k_stride], kv_heads is 1; a score sums over sixteen lanes, an output is one lane per channel.
///
/// q8 has the scales behind the integers: of keys [kv_heads][groups][64] bf16, then of values [kv_heads][64] fp32; of
/// latents [64][groups] bf16. x ~ scale * q, scale = max |x| / 127 (bf16: rounded up). A few channels of the Qwen
/// family's keys are far larger than the others: with one scale for all 64 the 0.5B's perplexity of Chinese text grew
/// by 2 %, with 16 channels by 1.4 %, with 8 by 0.2 %.
struct KvLayout {
  std::size_t kv_heads = 0;
  std::size_t k_dim = 0;
  std::size_t v_dim = 0;
  KvType type = KvType::f32;
  KvForm form = KvForm::heads;

  /// v_dim padded (with zeros) to whole vectors of 16 lanes.
  std::size_t v_stride() const noexcept { return (v_dim + 15) / 16 * 16; }
  /// Channels of a stored key (heads): bf16 has an even number of them.
  std::size_t k_channels() const noexcept { return type == KvType::bf16 ? (k_dim + 1) / 2 * 2 : k_dim; }
  /// k_dim padded likewise (latent).
  std::size_t k_stride() const noexcept { return (k_dim + 15) / 16 * 16; }
  std::size_t element_bytes() const noexcept { return type == KvType::f32 ? 4 : type == KvType::bf16 ? 2 : 1; }
  std::size_t key_bytes() const noexcept {
    return kv_heads * (form == KvForm::latent ? k_stride() : k_channels()) * kKvBlock * element_bytes();
  }
  std::size_t value_bytes() const noexcept {
    return form == KvForm::latent ? 0 : kv_heads * v_stride() * kKvBlock * element_bytes();
  }
  /// Groups of a token's key or latent that have a scale each (q8).
  std::size_t groups() const noexcept {
    return form == KvForm::latent ? k_stride() / kLatentGroup : (k_dim + kKeyGroup - 1) / kKeyGroup;
  }
  std::size_t key_scale_bytes() const noexcept { return type == KvType::q8 ? kv_heads * groups() * kKvBlock * 2 : 0; }
  std::size_t value_scale_bytes() const noexcept {
    return type == KvType::q8 && form == KvForm::heads ? kv_heads * kKvBlock * 4 : 0;
  }
  /// Bytes per block and layer, a multiple of 64. Blocks, and the layers' parts in them, start at multiples of 64.
  std::size_t bytes() const noexcept { return key_bytes() + value_bytes() + key_scale_bytes() + value_scale_bytes(); }
};

/// Throws Error(unsupported), naming `what` (a file or model) and the field, unless Ops::attention can serve
/// `heads` query heads over this layout: dimensions from 1 to kMaxAttentionDim, heads a multiple of kv_heads.
void check_attention_shape(const KvLayout& layout, std::size_t heads, std::string_view what);

}  // namespace minke::kernels
