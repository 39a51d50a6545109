// Grouped-query attention over BF16 blocks on matrix tiles (Intel AMX, or the tests' twin of it). Scores and outputs
// are sums of products of BF16 numbers in fp32: queries and weights are rounded to BF16, as keys and values were when
// they were stored. A sum is the instruction's, 32 products at a time in ascending order; a row's bits do not depend on
// what shares its tiles. Included after attention_splits.inl by the files that have a Tiles type.
//
// Four blocks share a maximum, so that tiles of outputs are loaded, rescaled and stored once in 256 tokens: with a
// maximum for each block that took half of the products' time. Keys and values are read where they lie in the cache.

namespace {

using minke::kernels::KernelTable;
using minke::kernels::KvType;

/// The largest head dimensions that the scratch is sized for; larger ones go by vectors.
constexpr std::size_t kTileHeadDim = 256;
/// Rows of a tile, columns of its fp32 sums, inner dimension of its products.
constexpr std::size_t kTileSide = 16, kTileInner = 32;
/// Blocks at a time, and their tokens.
constexpr std::size_t kTileBlocks = 4, kTileTokens = kTileBlocks * kKvBlock;

/// A task's scratch beside AttentionScratch: 176 KiB.
struct TileScratch {
  alignas(64) std::uint16_t queries[kAttentionPairs * kTileHeadDim];  ///< [pairs][k_padded]
  alignas(64) float scores[kAttentionPairs * kTileTokens];
  alignas(64) std::uint16_t weights[kAttentionPairs * kTileTokens];
  alignas(64) std::uint16_t keys[kKvBlock * kTileHeadDim];    ///< where k_dim is not a multiple of 32
  alignas(64) std::uint16_t values[kKvBlock * kTileHeadDim];  ///< of a block that ends a row's past
  alignas(64) float kept[kTileSide * kTileHeadDim];
};
static_assert(kAttentionPairs % kTileSide == 0);

/// c[rows][ldc] (+)= a[rows][lda] * b; rows in whole tiles, columns a multiple of 16.
struct TileProduct {
  std::size_t rows, columns;
  const std::uint16_t* a;
  std::size_t lda;
  const std::uint16_t* const* b;  ///< parts of 32 part_steps inner indices: [part_steps * 16][ldb / 2][2]
  const char* const* ahead;       ///< per part: what will be read next, fetched as the part is read
  std::size_t part_steps, steps;  ///< of a part; of all
  std::size_t ldb;
  float* c;
  std::size_t ldc;
  bool add;
};

/// Four tiles of sums, two of rows, two of what they are multiplied by.
inline TileConfig attention_tile_config(std::size_t rows) {
  TileConfig config{};
  config.palette = 1;
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = tile < 6 ? static_cast<std::uint8_t>(rows) : std::uint8_t{kTileSide};
    config.row_bytes[tile] = 64;
  }
  return config;
}

/// kRows x kColumns tiles of sums from (row, column) on.
template <int kRows, int kColumns, typename Tiles>
inline void multiply_tiles(Tiles& tiles, const TileProduct& p, std::size_t row, std::size_t column) {
  float* c = p.c + row * p.ldc + column;
  const std::uint16_t* a = p.a + row * p.lda;
  const std::size_t row_bytes = p.ldc * sizeof(float), a_bytes = p.lda * sizeof(std::uint16_t);
  const std::size_t b_bytes = p.ldb * sizeof(std::uint16_t), below = kTileSide * p.ldc;
  if (p.add) {
    tiles.template load<0>(c, row_bytes);
    if constexpr (kColumns > 1) tiles.template load<1>(c + kTileSide, row_bytes);
    if constexpr (kRows > 1) tiles.template load<2>(c + below, row_bytes);
    if constexpr (kRows > 1 && kColumns > 1) tiles.template load<3>(c + below + kTileSide, row_bytes);
  } else {
    tiles.template zero<0>();
    if constexpr (kColumns > 1) tiles.template zero<1>();
    if constexpr (kRows > 1) tiles.template zero<2>();
    if constexpr (kRows > 1 && kColumns > 1) tiles.template zero<3>();
  }
  for (std::size_t part = 0, step = 0; step < p.steps; ++part) {
    const std::uint16_t* b = p.b[part] + 2 * column;
    const char* ahead = p.ahead[part] + 2 * column * sizeof(std::uint16_t);
    for (std::size_t end = step + p.part_steps; step < end && step < p.steps; ++step, b += kTileSide * p.ldb) {
      if (row == 0) {
        for (std::size_t line = 0; line < kTileSide; ++line, ahead += b_bytes) {
          __builtin_prefetch(ahead, 0, 2);
          if constexpr (kColumns > 1) __builtin_prefetch(ahead + 64, 0, 2);
        }
      }
      tiles.template load<4>(a + step * kTileInner, a_bytes);
      tiles.template load<6>(b, b_bytes);
      tiles.template add_bf16_products<0, 4, 6>();
      if constexpr (kColumns > 1) {
        tiles.template load<7>(b + 2 * kTileSide, b_bytes);
        tiles.template add_bf16_products<1, 4, 7>();
      }
      if constexpr (kRows > 1) {
        tiles.template load<5>(a + kTileSide * p.lda + step * kTileInner, a_bytes);
        tiles.template add_bf16_products<2, 5, 6>();
        if constexpr (kColumns > 1) tiles.template add_bf16_products<3, 5, 7>();
      }
    }
  }
  tiles.template store<0>(c, row_bytes);
  if constexpr (kColumns > 1) tiles.template store<1>(c + kTileSide, row_bytes);
  if constexpr (kRows > 1) tiles.template store<2>(c + below, row_bytes);
  if constexpr (kRows > 1 && kColumns > 1) tiles.template store<3>(c + below + kTileSide, row_bytes);
}

template <int kRows, typename Tiles>
inline void multiply_tile_rows(Tiles& tiles, const TileProduct& p, std::size_t row) {
  std::size_t column = 0;
  for (; column + 2 * kTileSide <= p.columns; column += 2 * kTileSide) multiply_tiles<kRows, 2>(tiles, p, row, column);
  if (column < p.columns) multiply_tiles<kRows, 1>(tiles, p, row, column);
}

template <typename Tiles>
[[gnu::noinline]] void multiply_all_tiles(Tiles& tiles, const TileProduct& p) {
  std::size_t row = 0;
  for (; row + kTileSide < p.rows; row += 2 * kTileSide) multiply_tile_rows<2>(tiles, p, row);
  if (row < p.rows) multiply_tile_rows<1>(tiles, p, row);
}

/// 2^x for x <= 0 to 2.9e-6, far finer than the BF16 that it is rounded to; 0 below 2^-126. e^x's way (exp.inl):
/// x = n + r, |r| <= 1/2, n in the exponent; 2^r - 1 minimax of degree 4 without a constant term.
inline Simd::F exp2_lanes(Simd::F x) {
  const Simd::F magic = Simd::set1(12583039.0f);
  const Simd::F shifted = Simd::add(x, magic);
  const Simd::F r = Simd::sub(x, Simd::sub(shifted, magic));
  Simd::F p = Simd::set1(0x1.3a02ccp-7f);
  p = Simd::fma(p, r, Simd::set1(0x1.c9fc46p-5f));
  p = Simd::fma(p, r, Simd::set1(0x1.ec0378p-3f));
  p = Simd::fma(p, r, Simd::set1(0x1.62e12cp-1f));
  p = Simd::fma(p, r, Simd::set1(1.0f));
  p = Simd::mul(p, Simd::as_float(Simd::shift_left<23>(Simd::as_int(shifted))));
  return Simd::zero_if_less(x, Simd::set1(-126.0f), p);
}

/// Scores s[blocks][64] of a pair that sees some of them -> weights 2^(log2(e) (scale s - max)) in BF16, 0 beyond the
/// pair's tokens; updates its state. The sum is that of the weights as rounded: what
/// they have in common of their errors then cancels.
template <typename Tiles>
inline void weigh_blocks(float scale, float* s, std::size_t blocks, PairState& state, std::uint16_t* weights) {
  constexpr float kLog2E = 0x1.715476p+0f;
  const std::size_t seen = (state.tokens + kKvBlock - 1) / kKvBlock * kKvBlock;
  // What the cache holds beyond is not of this row's past: any bits, which may not reach a sum.
  for (std::size_t t = state.tokens; t < seen; ++t) s[t] = scale < 0 ? -kMinusInfinity : kMinusInfinity;
  const Simd::F factor = Simd::set1(scale), log2e = Simd::set1(kLog2E);
  const auto scaled = [&](std::size_t t) { return Simd::mul(Simd::load(s + t), factor); };
  Simd::F largest = Simd::set1(state.max);
  for (std::size_t t = 0; t < seen; t += 32) largest = Simd::max(Simd::max(scaled(t), scaled(t + 16)), largest);
  const float max = Simd::reduce_max(largest);
  const Simd::F shift = Simd::set1(-(max * kLog2E));
  Simd::F sum = Simd::zero();
  for (std::size_t t = 0; t < seen; t += 32) {
    const Simd::F first = exp2_lanes(Simd::fma(scaled(t), log2e, shift));
    const Simd::F second = exp2_lanes(Simd::fma(scaled(t + 16), log2e, shift));
    Tiles::round_bf16(first, second, weights + t);
    sum = Simd::add(sum, Simd::add(Simd::load_bf16(weights + t), Simd::load_bf16(weights + t + 16)));
  }
  for (std::size_t t = seen; t < blocks * kKvBlock; t += 32) Tiles::round_bf16(Simd::zero(), Simd::zero(), weights + t);
  Simd::F rescale = Simd::set1(1);
  if (max != state.max) {
    rescale = exp2_lanes(Simd::set1(state.max * kLog2E - max * kLog2E));
    alignas(64) float first[16];
    Simd::store(first, rescale);
    state.rescale = first[0];
  }
  Simd::store(state.sums, Simd::fma(Simd::load(state.sums), rescale, sum));
  state.max = max;
}

template <typename Tiles>
class TileAttention {
 public:
  TileAttention(const AttentionTask& task, AttentionScratch& scratch, TileScratch& own)
      : task_(task),
        scratch_(scratch),
        own_(own),
        pairs_(task.rows * task.heads),
        tile_rows_(pairs_ < kTileSide ? pairs_ : kTileSide),
        padded_((pairs_ + tile_rows_ - 1) / tile_rows_ * tile_rows_),
        k_padded_((task.k_dim + kTileInner - 1) / kTileInner * kTileInner),
        tiles_(attention_tile_config(tile_rows_)) {}

  void run() {
    bool ready = false;
    attend_splits<kTileBlocks>(task_, scratch_, [&](std::size_t block, std::size_t stop, std::size_t next) {
      if (!ready) prepare();
      ready = true;
      attend(block, stop, next);
    });
  }

 private:
  /// Queries as BF16; rows that fill the last tile are zero, and their sums mean nothing.
  void prepare() {
    for (std::size_t p = 0; p < padded_; ++p) {
      const float* q = scratch_.q[p < pairs_ ? p : 0];
      const std::size_t dims = p < pairs_ ? task_.k_dim : 0;
      const auto lanes = [&](std::size_t d) {
        return d >= dims ? Simd::zero() : Simd::load_partial(q + d, dims - d < 16 ? dims - d : 16);
      };
      for (std::size_t d = 0; d < k_padded_; d += 32)
        Tiles::round_bf16(lanes(d), lanes(d + 16), own_.queries + p * k_padded_ + d);
    }
    for (std::size_t i = pairs_ * kTileTokens; i < padded_ * kTileTokens; ++i) own_.weights[i] = 0;
    for (std::size_t i = pairs_ * task_.v_stride; i < padded_ * task_.v_stride; ++i) scratch_.out[i] = 0;
  }

  const std::uint16_t* keys(std::size_t block) const {
    return reinterpret_cast<const std::uint16_t*>(task_.blocks[block] + task_.key_offset);
  }
  const std::uint16_t* values(std::size_t block) const {
    return reinterpret_cast<const std::uint16_t*>(task_.blocks[block] + task_.value_offset);
  }

  void attend(std::size_t block, std::size_t stop, std::size_t next) {
    const std::size_t blocks = stop - block;
    count_tokens(task_, block, blocks, pairs_, scratch_.state);
    std::size_t most = 0, least = kTileTokens;
    for (std::size_t p = 0; p < pairs_; ++p) {
      const std::size_t tokens = scratch_.state[p].tokens;
      if (tokens > most) most = tokens;
      if (tokens < least) least = tokens;
    }
    score(block, blocks, most);
    for (std::size_t p = 0; p < pairs_; ++p) weigh(p, blocks);
    if (all_finite(block, least, most)) return add_values(block, next, 0, padded_, most);
    // 0 times what a row may not see would be NaN: each row has its past to itself.
    for (std::size_t row = 0; row < task_.rows; ++row) add_values_of(block, row);
  }

  void score(std::size_t block, std::size_t blocks, std::size_t tokens) {
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::size_t left = tokens - b * kKvBlock, columns = left < kKvBlock ? (left + 15) / 16 * 16 : kKvBlock;
      const std::uint16_t* from = k_padded_ == task_.k_dim ? keys(block + b) : padded_keys(block + b);
      const auto* ahead = reinterpret_cast<const char*>(b + 1 < blocks ? keys(block + b + 1) : values(block));
      const std::size_t steps = k_padded_ / kTileInner;
      multiply_all_tiles(tiles_, TileProduct{padded_, columns, own_.queries, k_padded_, &from, &ahead, steps, steps,
                                             2 * kKvBlock, own_.scores + b * kKvBlock, kTileTokens, false});
    }
  }

  void weigh(std::size_t p, std::size_t blocks) {
    PairState& state = scratch_.state[p];
    std::uint16_t* weights = own_.weights + p * kTileTokens;
    state.rescale = 1;
    if (state.tokens == 0) {
      for (std::size_t t = 0; t < blocks * kKvBlock; ++t) weights[t] = 0;
      return;
    }
    weigh_blocks<Tiles>(task_.scale, own_.scores + p * kTileTokens, blocks, state, weights);
    if (state.rescale == 1) return;
    float* out = scratch_.out + p * task_.v_stride;
    const Simd::F rescale = Simd::set1(state.rescale);
    for (std::size_t i = 0; i < task_.v_stride; i += 16) Simd::store(out + i, Simd::mul(Simd::load(out + i), rescale));
  }

  /// out += weights * values of `tokens` tokens, for the pairs [first, first + rows).
  void add_values(std::size_t block, std::size_t next, std::size_t first, std::size_t rows, std::size_t tokens) {
    const std::uint16_t* parts[kTileBlocks];
    const char* ahead[kTileBlocks];
    const std::size_t blocks = (tokens + kKvBlock - 1) / kKvBlock;
    for (std::size_t b = 0; b < blocks; ++b) {
      parts[b] = values(block + b);
      ahead[b] = reinterpret_cast<const char*>(b + 1 < blocks ? values(block + b + 1) : keys(next));
    }
    if (tokens % kKvBlock != 0) parts[blocks - 1] = ended_values(block + blocks - 1, tokens % kKvBlock);
    const std::size_t stride = task_.v_stride;
    multiply_all_tiles(tiles_, TileProduct{rows, stride, own_.weights + first * kTileTokens, kTileTokens, parts, ahead,
                                           kKvBlock / kTileInner, (tokens + kTileInner - 1) / kTileInner, 2 * stride,
                                           scratch_.out + first * stride, stride, true});
  }

  /// The same for one row's pairs, with what the row sees; the other rows of its tiles keep what they have.
  void add_values_of(std::size_t block, std::size_t row) {
    const std::size_t tokens = scratch_.state[row * task_.heads].tokens, end = (row + 1) * task_.heads;
    for (std::size_t p = row * task_.heads; p < end && tokens > 0;) {
      const std::size_t first = p < padded_ - tile_rows_ ? p : padded_ - tile_rows_;
      const std::size_t stop = first + tile_rows_ < end ? first + tile_rows_ : end;
      float* out = scratch_.out + first * task_.v_stride;
      __builtin_memcpy(own_.kept, out, tile_rows_ * task_.v_stride * sizeof(float));
      add_values(block, block, first, tile_rows_, tokens);
      restore(out, 0, p - first);
      restore(out, stop - first, tile_rows_);
      p = stop;
    }
  }
  void restore(float* out, std::size_t begin, std::size_t end) {
    const std::size_t stride = task_.v_stride;
    __builtin_memcpy(out + begin * stride, own_.kept + begin * stride, (end - begin) * stride * sizeof(float));
  }

  /// A block's keys with zeros behind the last channel.
  const std::uint16_t* padded_keys(std::size_t block) {
    const std::size_t stored = (task_.k_dim + 1) / 2 * 2 * kKvBlock;
    __builtin_memcpy(own_.keys, keys(block), stored * sizeof(std::uint16_t));
    __builtin_memset(own_.keys + stored, 0, (k_padded_ * kKvBlock - stored) * sizeof(std::uint16_t));
    return own_.keys;
  }

  /// A block's values with zeros from `tokens` on.
  const std::uint16_t* ended_values(std::size_t block, std::size_t tokens) {
    const std::size_t stride = task_.v_stride, stored = (tokens + 1) / 2 * 2 * stride;
    __builtin_memcpy(own_.values, values(block), stored * sizeof(std::uint16_t));
    __builtin_memset(own_.values + stored, 0, (kKvBlock * stride - stored) * sizeof(std::uint16_t));
    if (tokens % 2 != 0)
      for (std::size_t i = 0; i < stride; ++i) own_.values[(tokens - 1) * stride + 2 * i + 1] = 0;
    return own_.values;
  }

  /// Whether the values of tokens [begin, end) from `block` on are finite: what some rows see and others do not.
  bool all_finite(std::size_t block, std::size_t begin, std::size_t end) const {
    for (std::size_t t = begin / 2 * 2; t < end; t += 2) {
      const std::uint16_t* x = values(block + t / kKvBlock) + t % kKvBlock * task_.v_stride;
      unsigned found = 0;
      for (std::size_t i = 0; i < 2 * task_.v_stride; ++i) found |= (x[i] & 0x7f80U) == 0x7f80U ? 1U : 0U;
      if (found != 0) return false;
    }
    return true;
  }

  const AttentionTask& task_;
  AttentionScratch& scratch_;
  TileScratch& own_;
  std::size_t pairs_, tile_rows_, padded_, k_padded_;
  Tiles tiles_;
};

/// As RowKernels::attention over KvType::bf16, for any shape.
template <typename Tiles, const KernelTable& kVectors>
void attention_on_tiles(const AttentionTask& task) noexcept {
  if (task.k_dim > kTileHeadDim || task.v_stride > kTileHeadDim) return kVectors.rows.attention(task);
  AttentionScratch scratch;
  TileScratch own;
  TileAttention<Tiles>(task, scratch, own).run();
}

}  // namespace
