// Attention over the latent form (absorbed MLA): every head reads the same [64][k_dim] rows as keys, and their
// first v_dim channels as values. Included after attention.inl, whose softmax and products it shares.

namespace {

/// scores[p][t] of Pairs pairs and Tokens tokens: sixteen sums each, channel d in lane d mod 16, one tree.
template <int Pairs, int Tokens, typename T>
inline void latent_scores(const float* const* q, const T* latent, std::size_t k_dim, float* scores) {
  Simd::F sums[Pairs][Tokens];
#pragma GCC unroll 8
  for (int p = 0; p < Pairs; ++p)
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t) sums[p][t] = Simd::zero();
  const float* query[Pairs];
#pragma GCC unroll 8
  for (int p = 0; p < Pairs; ++p) query[p] = q[p];
  for (std::size_t d = 0; d < k_dim; d += 16) {
    Simd::F keys[Tokens];
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t) keys[t] = load_kv(latent + static_cast<std::size_t>(t) * k_dim + d);
#pragma GCC unroll 8
    for (int p = 0; p < Pairs; ++p) {
      const Simd::F lanes = Simd::load(query[p] + d);
#pragma GCC unroll 8
      for (int t = 0; t < Tokens; ++t) sums[p][t] = Simd::fma(lanes, keys[t], sums[p][t]);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pairs; ++p)
#pragma GCC unroll 8
    for (int t = 0; t < Tokens; ++t)
      scores[static_cast<std::size_t>(p) * kKvBlock + static_cast<std::size_t>(t)] = Simd::reduce_add(sums[p][t]);
}

/// Pairs and tokens of a tile: 6 x 4 sums, 4 keys and a query fill AVX-512's registers, 2 x 2 those of AVX2.
constexpr std::size_t kLatentPairs = Simd::kRegisters >= 32 ? 6 : 2;
constexpr std::size_t kLatentTokens = Simd::kRegisters >= 32 ? 4 : 2;

template <int Pairs, typename T>
void latent_scores_of(const float* const* q, const T* latent, std::size_t k_dim, float* scores) {
  latent_scores<Pairs, static_cast<int>(kLatentTokens)>(q, latent, k_dim, scores);
}

/// All pairs' scores of kLatentTokens tokens.
template <typename T>
void latent_scores_all(const float* const* q, std::size_t pairs, const T* latent, std::size_t k_dim, float* scores) {
  for (std::size_t p = 0; p < pairs; p += kLatentPairs) {
    float* to = scores + p * kKvBlock;
    switch (pairs - p < kLatentPairs ? pairs - p : kLatentPairs) {
      case 1:
        latent_scores_of<1>(q + p, latent, k_dim, to);
        break;
      case 2:
        latent_scores_of<2>(q + p, latent, k_dim, to);
        break;
      case 3:
        latent_scores_of<(kLatentPairs < 3 ? 1 : 3)>(q + p, latent, k_dim, to);
        break;
      case 4:
        latent_scores_of<(kLatentPairs < 3 ? 1 : 4)>(q + p, latent, k_dim, to);
        break;
      case 5:
        latent_scores_of<(kLatentPairs < 3 ? 1 : 5)>(q + p, latent, k_dim, to);
        break;
      default:
        latent_scores_of<(kLatentPairs < 3 ? 1 : 6)>(q + p, latent, k_dim, to);
        break;
    }
  }
}

/// A block of 64 tokens; those beyond a row's position may hold anything, and their scores are not used.
template <typename T>
void attend_latent_block(const AttentionTask& task, const T* latent, std::size_t block, std::size_t pairs,
                         AttentionScratch& scratch) {
  count_tokens(task, block, 1, pairs, scratch.state);
  std::size_t tokens = 0;
  for (std::size_t p = 0; p < pairs; ++p)
    if (scratch.state[p].tokens > tokens) tokens = scratch.state[p].tokens;
  // 64 is a multiple of kLatentTokens: a tile that begins in the block ends in it.
  for (std::size_t t = 0; t < tokens; t += kLatentTokens)
    latent_scores_all(scratch.q, pairs, latent + t * task.k_dim, task.k_dim, scratch.scores + t);
  for (std::size_t p = 0; p < pairs; ++p) {
    scratch.state[p].rescale = 1;
    if (scratch.state[p].tokens > 0) softmax_block(task.scale, scratch.scores + p * kKvBlock, scratch.state[p]);
  }
  for (std::size_t p = 0; p < pairs; p += kTileRows)
    add_values(task, latent, task.k_dim, reinterpret_cast<const char*>(latent), p,
               pairs - p < kTileRows ? pairs - p : kTileRows, scratch);
}

/// Pairs from which on a block is widened to fp32 once (two passes over it, 147 KB at 576 channels, in the second-level
/// cache) rather than in every tile that reads it. Bytes always are, with their scales.
constexpr std::size_t kWidenPairs = 2 * kTileRows + 1;

inline void widen(const AttentionTask& task, std::size_t /*block*/, const std::uint16_t* latent, float* wide) {
  for (std::size_t i = 0; i < kKvBlock * task.k_dim; i += 16) Simd::store(wide + i, load_kv(latent + i));
}

/// x = scale * q, rounded; what lies behind a row's position may become NaN.
inline void widen(const AttentionTask& task, std::size_t block, const std::int8_t* latent, float* wide) {
  static_assert(kLatentGroup == 16);
  const auto* scales = reinterpret_cast<const std::uint16_t*>(task.blocks[block] + task.key_scales);
  for (std::size_t i = 0; i < kKvBlock * task.k_dim; i += kLatentGroup, ++scales) {
    const Simd::F scale = Simd::set1(__builtin_bit_cast(float, std::uint32_t{*scales} << 16));
    Simd::store(wide + i, Simd::mul(load_kv(latent + i), scale));
  }
}

template <typename T>
[[gnu::noinline]] void attend_widened(const AttentionTask& task, AttentionScratch& scratch) {
  alignas(64) float wide[kKvBlock * minke::kernels::kMaxAttentionDim];
  attend_splits<1>(task, scratch, [&](std::size_t block, std::size_t, std::size_t) {
    widen(task, block, reinterpret_cast<const T*>(task.blocks[block] + task.key_offset), wide);
    attend_latent_block(task, wide, block, task.rows * task.heads, scratch);
  });
}

void attention_latent(const AttentionTask& task) noexcept {
  AttentionScratch scratch;
  const std::size_t pairs = task.rows * task.heads;
  if (task.type == KvType::q8) return attend_widened<std::int8_t>(task, scratch);
  if (task.type == KvType::bf16 && pairs >= kWidenPairs) return attend_widened<std::uint16_t>(task, scratch);
  attend_splits<1>(task, scratch, [&](std::size_t block, std::size_t, std::size_t) {
    const std::byte* latent = task.blocks[block] + task.key_offset;
    if (task.type == KvType::bf16)
      attend_latent_block(task, reinterpret_cast<const std::uint16_t*>(latent), block, pairs, scratch);
    else
      attend_latent_block(task, reinterpret_cast<const float*>(latent), block, pairs, scratch);
  });
}

constexpr minke::kernels::RowKernels kRowKernels{rms_norm, rope,      swiglu,           add_to,         add_scaled_to,
                                                 exp_all,  attention, attention_latent, attention_merge};

}  // namespace
