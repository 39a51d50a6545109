// Products of blocks of 256 int8 activations on matrix tiles (Intel AMX, or the tests' twin of it). Included after
// linear_blocks.inl and linear_tiles.inl by the files that have a Tiles type.
//
// A block's weights as bytes (linear_blocks.inl) take one product of 16 x 16 x 64 for 64 inputs, and their sums leave
// the tiles once in 256 inputs. That is what counts. Measured (Xeon of the Granite Rapids class, 3.2 GHz, one thread):
//   - a product of 16 rows takes 16 cycles, however few inputs;
//   - fp32 multiply-adds of 64 bytes go at one a cycle, not two, while products run: 64 of them beside one product take
//     64 cycles (integer additions still go at two);
//   - a tile stored right behind its last product costs 29 cycles, stored two products later 17, both together;
//   - 16 products with their 16 loads, which is what 32 rows by 32 outputs by 256 inputs need, take 320 cycles, with
//     sums stored 350; scaling takes 140 by itself, and as long beside them: all together 470 to 500 when operands and
//     sums are in the caches near by, 590 in a whole product, decoding apart.
// Scaled in each group of 32, 8192 multiply-adds took 80 cycles in a trial loop that held all its operands, now 18.

namespace {

using minke::kernels::kActivationRows;

/// Rows that share decoded weights: with 512 decoding is about a sixth of a product.
constexpr std::size_t kTileChunkRows = 512;
static_assert(kTileChunkRows % (2 * kActivationRows) == 0);
/// Tiles of weights that are multiplied together, so that activations, which come from the second-level cache, are
/// read half as often as weights, which are in the first.
constexpr std::size_t kPairTiles = 2, kPairOutputs = 16 * kPairTiles;
/// Activations that should stay in the second-level cache while a task's tiles pass by.
constexpr std::size_t kRangeBytes = std::size_t{5} << 18;

/// Which tile is what: sums of a pass's first 16 rows by both tiles of outputs, of its other rows; rows and weights.
enum : int { kSum00, kSum01, kSum10, kSum11, kRows0, kRows1, kWeights0, kWeights1 };

inline TileConfig block_tile_config() {
  TileConfig config{};
  config.palette = 1;
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = 16;
    config.row_bytes[tile] = 64;
  }
  return config;
}

/// 256 inputs of a tile's 16 outputs as bytes.
struct DecodedBlock {
  Simd::B w[4][16];
  Simd::F unit;
};

template <typename C>
void decode_block(const TilePart<C>& part, std::size_t ahead, DecodedBlock& out) {
  const ByteScales<C, 0> scales(part);
  out.unit = scales.unit;
  for (std::size_t g = 0; g < kPartGroups; ++g) {
    Simd::B w[8];
    fetch_ahead<C>(part, g, ahead);
    decode_group_of<C>(part, g, w);
    scales.apply(g, w);
#pragma GCC unroll 8
    for (std::size_t s = 0; s < 8; ++s) out.w[g / 2][g % 2 * 8 + s] = w[s];
  }
}

/// Rows that go through the tiles together.
constexpr std::size_t kPassRows = 32;

/// Up to 32 rows on their way. 16 rows of which some are missing are read as if they were there; what comes of those is
/// written where nothing is kept.
struct Pass {
  const ActivationLine* x[2];  ///< of the first 16 rows, of the others
  std::size_t stride[2];
  const BlockTail* tail;
  float* sums;        ///< kPairOutputs apart, or null: no pass
  bool both;          ///< there are more than 16 rows
  float* out;         ///< where they go when all blocks are in, `ldy` apart, or null: they stay
  const float* soon;  ///< outputs that will be read or written after this block of inputs, or null
};

struct BlockTilesScratch {
  alignas(64) float sums[kTileChunkRows][kPairOutputs];
  /// What left the tiles, as kSum00 .. kSum11.
  alignas(64) std::int32_t products[4][16][16];
  DecodedBlock w[kPairTiles];
};

/// A pair of tiles' block of inputs times a chunk of rows: a pass's products run beside the scaling of the one before.
template <typename Tiles>
class BlockTiles {
 public:
  BlockTiles(Tiles& tiles, BlockTilesScratch& scratch) : tiles_(tiles), s_(scratch) {}

  /// `begins`: the sums are yet zero. `y`: outputs of the chunk's first row, `ldy` apart, when this block is their
  /// last, or null. `direct`: whole passes write their sums there.
  void run(const BlockRows& x, std::size_t b, std::size_t rows, bool begins, float* y, std::size_t ldy, bool direct) {
    begins_ = begins;
    ldy_ = ldy;
    Pass last{};
    for (std::size_t row = 0; row < rows; row += kPassRows) {
      Pass now = pass_at(x, b, rows, row);
      if (y != nullptr) now.soon = y + row * ldy;
      if (direct && rows - row >= kPassRows) now.out = y + row * ldy;
      multiply(now, last);
      last = now;
    }
    if (last.both) store_second();
    scale(last);
  }

 private:
  Pass pass_at(const BlockRows& x, std::size_t b, std::size_t rows, std::size_t row) const {
    const auto stride_at = [rows](std::size_t at) { return rows - at < kActivationRows ? rows - at : kActivationRows; };
    const bool both = row + kActivationRows < rows;
    const std::size_t second = both ? row + kActivationRows : row;
    return {{x.at(row, b), x.at(second, b)},
            {stride_at(row), stride_at(second)},
            &x.tail(row, b),
            s_.sums[row],
            both,
            nullptr,
            nullptr};
  }

  [[gnu::always_inline]] void scale(const Pass& pass) {
    if (!pass.both) {
      begins_ ? scale_rows<true, 16>(pass, pass.sums, kPairOutputs)
              : scale_rows<false, 16>(pass, pass.sums, kPairOutputs);
    } else if (pass.out != nullptr) {
      begins_ ? scale_rows<true, 32>(pass, pass.out, ldy_) : scale_rows<false, 32>(pass, pass.out, ldy_);
    } else {
      begins_ ? scale_rows<true, 32>(pass, pass.sums, kPairOutputs)
              : scale_rows<false, 32>(pass, pass.sums, kPairOutputs);
    }
  }
  /// To rows of `to`, `stride` apart.
  template <bool kBegins, int kRows>
  [[gnu::always_inline]] void scale_rows(const Pass& pass, float* to, std::size_t stride) {
    const Simd::F unit[kPairTiles] = {s_.w[0].unit, s_.w[1].unit};
    const BlockTail* tail = pass.tail;
    const float* sums = pass.sums;
#pragma GCC unroll 32
    for (int row = 0; row < kRows; ++row) {
      const Simd::F scale = Simd::set1(tail[row].scale);
#pragma GCC unroll 2
      for (int i = 0; i < static_cast<int>(kPairTiles); ++i) {
        const auto* products = reinterpret_cast<const float*>(s_.products[row / 16 * 2 + i][row % 16]);
        const Simd::F scaled = Simd::mul(Simd::to_float(Simd::as_int(Simd::load(products))), unit[i]);
        const float* sum = sums + row * static_cast<int>(kPairOutputs) + 16 * i;
        Simd::store(to + 16 * i, Simd::fma(scaled, scale, kBegins ? Simd::zero() : Simd::load(sum)));
      }
      to += stride;
    }
  }

  /// Some of the outputs that are wanted soon.
  template <int kFrom, int kTo>
  [[gnu::always_inline]] void fetch_rows(const Pass& pass) const {
    if constexpr (kFrom < kTo) {
      const float* soon = pass.soon + static_cast<std::size_t>(kFrom) * ldy_;
      __builtin_prefetch(soon, 1);
      __builtin_prefetch(soon + 16, 1);
      fetch_rows<kFrom + 1, kTo>(pass);
    }
  }

  template <int kTile, int kStep, int kRows, int kWeights>
  [[gnu::always_inline]] void product() {
    if constexpr (kStep == 0) tiles_.template zero<kTile>();
    tiles_.template add_products<kTile, kRows, kWeights>();
  }

  void store_second() {
    tiles_.template store<kSum10>(s_.products[kSum10], 64);
    tiles_.template store<kSum11>(s_.products[kSum11], 64);
  }

  /// Inputs 64 kStep .. Sums are stored two products after their last, those of the second 16 rows in the next pass.
  template <int kStep, bool kBoth>
  [[gnu::always_inline]] void step(const Pass& now, const Pass& before) {
    constexpr bool kLast = kStep + 1 == static_cast<int>(kBlockLines);
    tiles_.template load<kWeights0>(s_.w[0].w[kStep], 64);
    tiles_.template load<kRows0>(now.x[0] + kStep * now.stride[0], 64);
    product<kSum00, kStep, kRows0, kWeights0>();
    tiles_.template load<kWeights1>(s_.w[1].w[kStep], 64);
    product<kSum01, kStep, kRows0, kWeights1>();
    if (kStep == 0 && before.both) store_second();
    if constexpr (kBoth) {
      tiles_.template load<kRows1>(now.x[1] + kStep * now.stride[1], 64);
      product<kSum10, kStep, kRows1, kWeights0>();
    }
    if constexpr (kLast) tiles_.template store<kSum00>(s_.products[kSum00], 64);
    if constexpr (kBoth) product<kSum11, kStep, kRows1, kWeights1>();
    if constexpr (kLast) tiles_.template store<kSum01>(s_.products[kSum01], 64);
    if (now.soon != nullptr) fetch_rows<8 * kStep, 8 * kStep + 8>(now);
  }

  /// `before`: the pass that is scaled meanwhile, in one go: spread among the products it is 10 % slower.
  template <bool kBoth>
  [[gnu::noinline]] void multiply_rows(const Pass& now, const Pass& before) {
    step<0, kBoth>(now, before);
    if (before.sums != nullptr) scale(before);
    step<1, kBoth>(now, before);
    step<2, kBoth>(now, before);
    step<3, kBoth>(now, before);
  }
  void multiply(const Pass& now, const Pass& before) {
    now.both ? multiply_rows<true>(now, before) : multiply_rows<false>(now, before);
  }

  Tiles& tiles_;
  BlockTilesScratch& s_;
  bool begins_ = false;
  std::size_t ldy_ = 0;
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

/// Rows [row, row + rows) times all tiles of the task. Inputs are taken in ranges whose activations stay in the cache.
template <typename C, typename Tiles>
void multiply_chunk_of_blocks(Tiles& tiles, const LinearTask& task, std::size_t row, std::size_t rows,
                              BlockTilesScratch& scratch) {
  const std::size_t blocks = task.cols / kBlockInputs, fit = kRangeBytes / (rows * kBlockLines * 64);
  const std::size_t range = fit == 0 ? 1 : fit;
  const BlockRows x{task.lines + row * kBlockLines, task.tails + row, task.line_rows};
  BlockTiles<Tiles> product(tiles, scratch);
  for (std::size_t first = 0; first < blocks; first += range) {
    const std::size_t last = blocks - first < range ? blocks : first + range;
    LinearTask to = task;
    if (last != blocks) to.bias = nullptr;
    for (std::size_t tile = 0; tile < task.tile_count; tile += kPairTiles) {
      const std::size_t pair = task.tile_count - tile < kPairTiles ? task.tile_count - tile : kPairTiles;
      const bool direct = to.bias == nullptr && task.outputs - 16 * tile >= kPairOutputs;
      if (first != 0) load_sums(task, tile, pair, row, rows, scratch.sums);
      for (std::size_t b = first; b < last; ++b) {
        const bool ends = b + 1 == last;
        for (std::size_t t = 0; t < kPairTiles; ++t)
          decode_block<C>(TilePart<C>(task, t < pair ? tile + t : tile, b * kPartGroups), task.fetch_ahead,
                          scratch.w[t]);
        // Of a single tile the next 16 outputs are asked for, too: nobody's, but harmless.
        product.run(x, b, rows, first + b == 0, ends ? task.y + row * task.ldy + 16 * tile : nullptr, task.ldy,
                    ends && direct);
      }
      const std::size_t left = direct ? rows / kPassRows * kPassRows : 0;
      store_sums(to, tile, pair, row + left, rows - left, scratch.sums + left);
    }
  }
}

template <typename C, typename Tiles>
void linear_blocks_of(const LinearTask& task) {
  if (task.rows <= kFewBlockRows) return few_rows_of_blocks<C>(task);
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
