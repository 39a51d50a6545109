// Products of blocks of 256 int8 activations on matrix tiles (Intel AMX, or the tests' twin of it). Included after
// linear_blocks.inl and linear_tiles.inl by the files that have a Tiles type.
//
// A weight times the integer of its scale has at most 13 bits and a sign. It is split into a signed high and an
// unsigned low byte, and both are summed over all 256 inputs by tiles: two products of 16 x 16 x 64 for what would be
// two of 16 x 16 x 32 with a scale between, but the sums leave the tiles once in 256 inputs, not once in 32. That is
// what counts. Measured (Xeon of the Granite Rapids class, 3.2 GHz, one thread, operands in the first-level cache):
//   - a product of 16 rows takes 16 cycles, however few inputs;
//   - fp32 multiply-adds of 64 bytes go at one a cycle, not two, while products run: 64 of them beside one product take
//     64 cycles (integer additions still go at two);
//   - a tile stored right behind its last product costs 29 cycles, stored two products later 17, both together.
// Scaled in each group of 32, 8192 multiply-adds cannot take less than 48 cycles (Q4_K) and took 80 in a trial loop
// that held all its operands; this way a whole product, decoding and memory included, takes 52 to 60.

namespace {

using minke::kernels::kActivationRows;

/// Fewer rows stay with vectors: 8 take half the time that they would take on tiles, 16 as long.
constexpr std::size_t kLeastBlockTileRows = 16;
/// Rows that share decoded weights: with 512 decoding is about 5 % of a product.
constexpr std::size_t kTileChunkRows = 512;
static_assert(kTileChunkRows % (2 * kActivationRows) == 0);
/// Tiles of weights that are multiplied together, so that activations, which come from the second-level cache, are
/// read half as often as weights, which are in the first.
constexpr std::size_t kPairTiles = 2, kPairOutputs = 16 * kPairTiles;
/// Activations that should stay in the second-level cache while a task's tiles pass by.
constexpr std::size_t kRangeBytes = std::size_t{5} << 18;

/// Which tile is what: sums of a pair's high bytes, of its low bytes; rows and weights, in turn.
enum : int { kHigh0, kHigh1, kLow0, kLow1, kRows0, kRows1, kWeights0, kWeights1 };

inline TileConfig block_tile_config() {
  TileConfig config{};
  config.palette = 1;
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = 16;
    config.row_bytes[tile] = 64;
  }
  return config;
}

/// 256 inputs of a tile's 16 outputs as operands; what `minima` are multiplied with is what sum_limbs() makes.
struct DecodedBlock {
  Simd::B high[4][16], low[4][16];
  Simd::I minima[16];  ///< per 16 inputs, twice as BF16
  Simd::F d, m;
};

template <typename C>
void decode_block(const TilePart<C>& part, DecodedBlock& out) {
  const Scales<C> scales(part.scales);
  out.d = scales.d;
  if constexpr (C::kOffset) out.m = scales.m;
  for (std::size_t g = 0; g < kPartGroups; ++g) {
    Simd::B w[8];
    decode_group_of<C>(part, g, w);
#pragma GCC unroll 2
    for (std::size_t p = 0; p < C::kParts; ++p) {
      const Simd::I scale = scales.integer(g * C::kParts + p);
#pragma GCC unroll 8
      for (std::size_t s = p * C::kSteps; s < (p + 1) * C::kSteps; ++s) {
        const std::size_t at = g % 2 * 8 + s;
        Simd::template scale_bytes<C::kZero>(w[s], scale, out.high[g / 2][at], out.low[g / 2][at]);
      }
    }
  }
  if constexpr (C::kOffset) {
    for (std::size_t i = 0; i < 16; ++i) {
      const Simd::I bits = Simd::as_int(Simd::to_float(scales.minimum(i * C::kParts / 2)));
      out.minima[i] = Simd::add_int(bits, Simd::template shift_right<16>(bits));
    }
  }
}

/// A block of rows on its way through the tiles. One of fewer than 16 rows is read as if it had them; what comes of
/// those is written where nothing is kept.
struct Pass {
  const ActivationLine* x;
  std::size_t stride;
  std::size_t row;    ///< the first, of the chunk
  const float* soon;  ///< outputs that will be read or written after this block of inputs, ldy apart
};

/// What will be decoded next, asked for bit by bit while products run.
struct NextWeights {
  const std::uint8_t* part[kPairTiles];
  std::size_t bytes;  ///< of each

  void fetch(std::size_t pass, std::size_t passes) const {
    const std::size_t lines = (bytes + 63) / 64, each = (lines + passes - 1) / passes;
    const std::size_t end = (pass + 1) * each < lines ? (pass + 1) * each : lines;
    for (std::size_t line = pass * each; line < end; ++line)
      for (const std::uint8_t* at : part) __builtin_prefetch(at + 64 * line);
  }
};

struct BlockTilesScratch {
  alignas(64) float sums[kTileChunkRows][kPairOutputs];
  /// What left the tiles: of the last pass sums of products, as kHigh0 .. kLow1; of the last two those of minima.
  /// Kept small: all that a pass touches is to fit the first-level cache.
  alignas(64) std::int32_t products[4][16][16];
  alignas(64) float minima[2][kPairTiles][16][16];
  DecodedBlock w[kPairTiles];
};

/// A pair of tiles' block of inputs times a chunk of rows: a pass's products run beside the scaling of the one before.
template <bool kOffset, typename Tiles>
class BlockTiles {
 public:
  BlockTiles(Tiles& tiles, BlockTilesScratch& scratch) : tiles_(tiles), s_(scratch) {}

  /// `soon`: outputs of the chunk's first row that follow this block, `ldy` apart, or null.
  void run(const BlockRows& x, std::size_t b, std::size_t rows, const float* soon, std::size_t ldy,
           const NextWeights& next) {
    soon_stride_ = soon == nullptr ? kPairOutputs : ldy;
    const std::size_t passes = (rows + kActivationRows - 1) / kActivationRows;
    Pass last;
    for (std::size_t p = 0; p < passes; ++p) {
      Pass now = pass_at(x, b, rows, p * kActivationRows);
      next.fetch(p, passes);
      now.soon = soon == nullptr ? s_.sums[now.row] : soon + now.row * ldy;
      if (p == 0) {
        multiply<false>(now, now);
      } else {
        multiply<true>(now, last);
      }
      last = now;
    }
    tiles_.template store<kLow0>(s_.products[kLow0], 64);
    tiles_.template store<kLow1>(s_.products[kLow1], 64);
    scale_rows<0, 16>(last);
  }

 private:
  static Pass pass_at(const BlockRows& x, std::size_t b, std::size_t rows, std::size_t row) {
    const std::size_t stride = rows - row < kActivationRows ? rows - row : kActivationRows;
    return {x.at(row, b), stride, row, nullptr};
  }

  /// Row kRow of a pass, both tiles.
  template <int kRow>
  [[gnu::always_inline]] void scale_row(const Pass& pass) {
    const Simd::F scale = Simd::set1(tail_of(pass.x, kRow, pass.stride).scale);
#pragma GCC unroll 2
    for (std::size_t i = 0; i < kPairTiles; ++i) {
      const auto load = [&](std::size_t tile) {
        return Simd::as_int(Simd::load(reinterpret_cast<const float*>(s_.products[tile][kRow])));
      };
      const Simd::I products = Simd::add_int(Simd::template shift_left<8>(load(kHigh0 + i)), load(kLow0 + i));
      Simd::F scaled = Simd::mul(Simd::to_float(products), s_.w[i].d);
      if constexpr (kOffset) scaled = Simd::fma(Simd::load(minima_of(pass)[i][kRow]), s_.w[i].m, scaled);
      float* sum = s_.sums[pass.row + kRow] + 16 * i;
      Simd::store(sum, Simd::fma(scaled, scale, Simd::load(sum)));
    }
  }
  template <int kFrom, int kTo>
  [[gnu::always_inline]] void scale_rows(const Pass& pass) {
    if constexpr (kFrom < kTo) {
      scale_row<kFrom>(pass);
      scale_rows<kFrom + 1, kTo>(pass);
    }
  }
  float (*minima_of(const Pass& pass))[16][16] { return s_.minima[pass.row / kActivationRows % 2]; }

  /// A row of the outputs that are wanted soon.
  template <std::size_t kPart>
  [[gnu::always_inline]] void fetch(const Pass& pass) const {
    const float* soon = pass.soon + kPart * soon_stride_;
    __builtin_prefetch(soon, 1);
    __builtin_prefetch(soon + 16, 1);
  }

  template <int kTile, int kStep, int kRows, int kWeights, bool kUnsigned>
  [[gnu::always_inline]] void product(const Simd::B (*weights)[16]) {
    tiles_.template load<kWeights>(weights[kStep], 64);
    if constexpr (kStep == 0) tiles_.template zero<kTile>();
    if constexpr (kUnsigned) {
      tiles_.template add_unsigned_products<kTile, kRows, kWeights>();
    } else {
      tiles_.template add_products<kTile, kRows, kWeights>();
    }
  }

  /// Sums over sub-groups of minimum times activations, exact in fp32: below 2^24.
  template <int kTile, int kWeights>
  [[gnu::always_inline]] void minima_product(const Simd::I* minima) {
    tiles_.template load<kWeights>(minima, 64);
    tiles_.template zero<kTile>();
    tiles_.template add_bf16_products<kTile, kRows1, kWeights>();
  }

  /// Inputs 64 kStep ..
  template <int kStep>
  [[gnu::always_inline]] void step(const Pass& now) {
    constexpr int kRows = kRows0 + kStep % 2;
    // The first step begins with the low bytes, since the tiles of the others hold the minima; the rest end with them.
    constexpr bool kLowFirst = kStep == 0;
    constexpr int kA = kLowFirst ? kLow0 : kHigh0, kB = kLowFirst ? kHigh0 : kLow0;
    tiles_.template load<kRows>(now.x + kStep * now.stride, 64);
    product<kA, kStep, kRows, kWeights0, kLowFirst>(kLowFirst ? s_.w[0].low : s_.w[0].high);
    fetch<4 * kStep>(now);
    product<kA + 1, kStep, kRows, kWeights1, kLowFirst>(kLowFirst ? s_.w[1].low : s_.w[1].high);
    fetch<4 * kStep + 1>(now);
    if constexpr (kOffset && kStep == 0) tiles_.template store<kHigh0>(minima_of(now)[0], 64);
    if constexpr (kOffset && kStep == 0) tiles_.template store<kHigh1>(minima_of(now)[1], 64);
    product<kB, kStep, kRows, kWeights0, !kLowFirst>(kLowFirst ? s_.w[0].high : s_.w[0].low);
    fetch<4 * kStep + 2>(now);
    if constexpr (kStep == 3) tiles_.template store<kHigh0>(s_.products[kHigh0], 64);
    product<kB + 1, kStep, kRows, kWeights1, !kLowFirst>(kLowFirst ? s_.w[1].high : s_.w[1].low);
    fetch<4 * kStep + 3>(now);
    if constexpr (kStep == 3) tiles_.template store<kHigh1>(s_.products[kHigh1], 64);
  }

  /// `before`: the pass whose rows are scaled meanwhile. Sums are stored two products after their last, those of the
  /// low bytes in the next pass.
  template <bool kScale>
  [[gnu::noinline]] void multiply(const Pass& now, const Pass& before) {
    if constexpr (kOffset) {
      tiles_.template load<kRows1>(now.x + kBlockQLines * now.stride, 64);
      minima_product<kHigh0, kWeights0>(s_.w[0].minima);
      minima_product<kHigh1, kWeights1>(s_.w[1].minima);
    }
    tiles_.template store<kLow0>(s_.products[kLow0], 64);
    tiles_.template store<kLow1>(s_.products[kLow1], 64);
    step<0>(now);
    // In one piece: spread among the products it is 10 % slower.
    if constexpr (kScale) scale_rows<0, 16>(before);
    step<1>(now);
    step<2>(now);
    step<3>(now);
  }

  Tiles& tiles_;
  BlockTilesScratch& s_;
  std::size_t soon_stride_ = 0;
};

/// Sums so far, from and to the outputs of `tiles` tiles.
void load_sums(const LinearTask& task, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows,
               float (*sums)[kPairOutputs]) {
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t output = 16 * (tile + t), count = task.outputs - output;
    for (std::size_t r = 0; r < rows; ++r) {
      const float* y = task.y + (row + r) * task.ldy + output;
      Simd::store(sums[r] + 16 * t, count >= 16 ? Simd::load(y) : Simd::load_partial(y, count));
    }
  }
}
void store_sums(const LinearTask& task, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows,
                const float (*sums)[kPairOutputs]) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t t = 0; t < tiles; ++t) store_output(task, tile + t, row + r, Simd::load(sums[r] + 16 * t));
}

template <typename C>
NextWeights next_weights(const LinearTask& task, std::size_t tile, std::size_t b) {
  const std::size_t second = tile + 1 < task.tile_count ? tile + 1 : tile;
  return {{TilePart<C>(task, tile, b * kPartGroups).scales, TilePart<C>(task, second, b * kPartGroups).scales},
          C::kPartBytes};
}

/// Rows [row, row + rows) times all tiles of the task. Inputs are taken in ranges whose activations stay in the cache.
template <typename C, typename Tiles>
void multiply_chunk_of_blocks(Tiles& tiles, const LinearTask& task, std::size_t row, std::size_t rows,
                              BlockTilesScratch& scratch) {
  const std::size_t blocks = task.cols / kBlockInputs, fit = kRangeBytes / (rows * kBlockLines * 64);
  const std::size_t range = fit == 0 ? 1 : fit;
  const BlockRows x{task.lines + row * kBlockLines, blocks, task.line_rows};
  BlockTiles<C::kOffset, Tiles> product(tiles, scratch);
  for (std::size_t first = 0; first < blocks; first += range) {
    const std::size_t last = blocks - first < range ? blocks : first + range;
    LinearTask to = task;
    if (last != blocks) to.bias = nullptr;
    for (std::size_t tile = 0; tile < task.tile_count; tile += kPairTiles) {
      const std::size_t pair = task.tile_count - tile < kPairTiles ? task.tile_count - tile : kPairTiles;
      if (first == 0) {
        std::memset(scratch.sums, 0, rows * sizeof scratch.sums[0]);
      } else {
        load_sums(task, tile, pair, row, rows, scratch.sums);
      }
      for (std::size_t b = first; b < last; ++b) {
        for (std::size_t t = 0; t < kPairTiles; ++t)
          decode_block<C>(TilePart<C>(task, t < pair ? tile + t : tile, b * kPartGroups), scratch.w[t]);
        const std::size_t soon = first == 0 ? tile : tile + kPairTiles;
        const bool ends = b + 1 == last && soon < task.tile_count;
        // After the range's last block comes its first, of the next pair.
        const bool wraps = b + 1 == last;
        const bool more = wraps && tile + kPairTiles < task.tile_count;
        const std::size_t next = wraps ? first : b + 1, after = more ? tile + kPairTiles : tile;
        product.run(x, b, rows, ends ? task.y + row * task.ldy + 16 * soon : nullptr, task.ldy,
                    next_weights<C>(task, after, next));
      }
      store_sums(to, tile, pair, row, rows, scratch.sums);
    }
  }
}

template <typename C, typename Tiles>
void linear_blocks_of(const LinearTask& task) {
  if (task.rows < kLeastBlockTileRows) return few_rows_of_blocks<C>(task);
  Tiles tiles(block_tile_config());
  BlockTilesScratch scratch;
  for (std::size_t row = 0; row < task.rows; row += kTileChunkRows) {
    const std::size_t rows = task.rows - row < kTileChunkRows ? task.rows - row : kTileChunkRows;
    multiply_chunk_of_blocks<C>(tiles, task, row, rows, scratch);
  }
}

/// The codec of the task's type; only those with blocks of 256 have this product.
template <typename Tiles, std::size_t kCodec = 0>
void linear_blocks_on_tiles(const LinearTask& task) noexcept {
  if constexpr (kCodec < sizeof minke::kernels::kCodecs / sizeof minke::kernels::kCodecs[0]) {
    constexpr const CodecSpec& kSpec = minke::kernels::kCodecs[kCodec];
    if constexpr (minke::kernels::has_integer_blocks(kSpec)) {
      if (task.dtype == kSpec.dtype) return linear_blocks_of<Codec<kSpec.dtype>, Tiles>(task);
    }
    linear_blocks_on_tiles<Tiles, kCodec + 1>(task);
  }
}

}  // namespace
