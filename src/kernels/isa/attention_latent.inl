// Attention over the latent form (absorbed MLA): every head reads the same [64][k_dim] rows as keys, and their
// first v_dim channels as values. Included after attention.inl, whose softmax and products it shares.

namespace {

/// scores[p][t] of Pairs pairs and Tokens tokens: sixteen sums each, channel d in lane d mod 16, one tree.
template <int Pairs, int Tokens, typename T>
inline void latent_scores(const float* const* q, const T* latent, std::size_t k_dim, float* scores) {
  Simd::F sums[Pairs][Tokens];
  for (int p = 0; p < Pairs; ++p)
    for (int t = 0; t < Tokens; ++t) sums[p][t] = Simd::zero();
  for (std::size_t d = 0; d < k_dim; d += 16) {
    Simd::F keys[Tokens];
    for (int t = 0; t < Tokens; ++t) keys[t] = load_kv(latent + static_cast<std::size_t>(t) * k_dim + d);
    for (int p = 0; p < Pairs; ++p) {
      const Simd::F query = Simd::load(q[p] + d);
      for (int t = 0; t < Tokens; ++t) sums[p][t] = Simd::fma(query, keys[t], sums[p][t]);
    }
  }
  for (int p = 0; p < Pairs; ++p)
    for (int t = 0; t < Tokens; ++t)
      scores[static_cast<std::size_t>(p) * kKvBlock + static_cast<std::size_t>(t)] = Simd::reduce_add(sums[p][t]);
}

template <int Pairs, typename T>
void latent_scores_of(const float* const* q, const T* latent, std::size_t k_dim, std::size_t tokens, float* scores) {
  constexpr int kTokens = Simd::kRegisters >= 32 ? 4 : 2;
  std::size_t t = 0;
  for (; t + kTokens <= tokens; t += kTokens) latent_scores<Pairs, kTokens>(q, latent + t * k_dim, k_dim, scores + t);
  for (; t < tokens; ++t) latent_scores<Pairs, 1>(q, latent + t * k_dim, k_dim, scores + t);
}

template <typename T>
void attend_latent_block(const AttentionTask& task, std::size_t block, std::size_t pairs, AttentionScratch& scratch) {
  const T* latent = reinterpret_cast<const T*>(task.blocks[block] + task.key_offset);
  count_tokens(task, block, pairs, scratch.state);
  for (std::size_t p = 0; p < pairs;) {
    const std::size_t tokens = scratch.state[p].tokens;
    float* scores = scratch.scores + p * kKvBlock;
    if (p + 1 < pairs && scratch.state[p + 1].tokens == tokens) {
      latent_scores_of<2>(scratch.q + p, latent, task.k_dim, tokens, scores);
      p += 2;
    } else {
      latent_scores_of<1>(scratch.q + p, latent, task.k_dim, tokens, scores);
      p += 1;
    }
  }
  for (std::size_t p = 0; p < pairs; ++p) {
    scratch.state[p].rescale = 1;
    if (scratch.state[p].tokens > 0) softmax_block(task.scale, scratch.scores + p * kKvBlock, scratch.state[p]);
  }
  for (std::size_t p = 0; p < pairs; p += kTileRows)
    add_values(task, latent, task.k_dim, reinterpret_cast<const char*>(latent), p,
               pairs - p < kTileRows ? pairs - p : kTileRows, scratch);
}

void attention_latent(const AttentionTask& task) noexcept {
  AttentionScratch scratch;
  const std::size_t pairs = task.rows * task.heads;
  const std::size_t last_block = begin_pairs(task, pairs, scratch);
  for (std::size_t block = 0; block <= last_block; ++block) {
    if (task.bf16)
      attend_latent_block<std::uint16_t>(task, block, pairs, scratch);
    else
      attend_latent_block<float>(task, block, pairs, scratch);
  }
  for (std::size_t p = 0; p < pairs; ++p) finish_pair(task, p, scratch);
}

constexpr minke::kernels::RowKernels kRowKernels{rms_norm,      rope,    swiglu,    add_to,
                                                 add_scaled_to, exp_all, attention, attention_latent};

}  // namespace
