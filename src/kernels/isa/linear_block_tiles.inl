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
void decode_block(const TilePart<C>& part, DecodedBlock& out) {
  const ByteScales<C, 0> scales(part);
  out.unit = scales.unit;
  for (std::size_t g = 0; g < part.groups; ++g) {
    Simd::B w[8];
    decode_group_of<C>(part, g, w);
    scales.apply(g, w);
#pragma GCC unroll 8
    for (std::size_t s = 0; s < 8; ++s) out.w[g / 2][g % 2 * 8 + s] = w[s];
  }
  // The other half of a step of 64 inputs.
  if (part.groups % 2 != 0) std::memset(out.w[part.groups / 2] + 8, 0, sizeof out.w[0] / 2);
}

/// Tiles whose weights are multiplied with a pass's rows before the next pass, and their blocks of inputs: activations
/// and sums come from the second-level cache, and each is then used for 64 outputs, or 512 inputs. Weights so many are
/// what the first-level cache holds beside them.
constexpr std::size_t kPanelPairs = 2, kPanelTiles = kPanelPairs * kPairTiles, kPanelOutputs = 16 * kPanelTiles;
constexpr std::size_t kPanelBlocks = 2;
constexpr std::size_t kPassRows = 32;

/// What one multiply() takes: up to 32 rows, a pair of tiles, a block of inputs. 16 rows of which some are missing are
/// read as if they were there; what comes of those is written where nothing is kept.
struct Piece {
  const ActivationLine* x[2];  ///< of the first 16 rows, of the others
  std::size_t stride[2];
  const BlockTail* tail;
  const DecodedBlock* w;  ///< of a tile and the next
  std::size_t steps;      ///< of 64 inputs
  float* sums;            ///< kPanelOutputs apart
  bool begins;            ///< they are yet zero
  const float* soon;      ///< outputs that will be read or written after this block of inputs, or null
};

struct BlockTilesScratch {
  alignas(64) float sums[kTileChunkRows][kPanelOutputs];
  /// What left the tiles, as kSum00 .. kSum11.
  alignas(64) std::int32_t products[4][16][16];
  DecodedBlock w[kPanelBlocks][kPanelTiles];
};

/// A panel of weights times a chunk of rows: a piece's products run beside the scaling of the one before.
template <typename Tiles>
class BlockTiles {
 public:
  BlockTiles(Tiles& tiles, BlockTilesScratch& scratch) : tiles_(tiles), s_(scratch) {}

  /// Blocks [b, b + blocks) of `pairs` pairs. `begins`: the sums are yet zero. `steps`: 64 inputs each, of all blocks.
  /// `soon`: outputs of the chunk's first row
  /// that follow these blocks, `ldy` apart, or null.
  void run(const BlockRows& x, std::size_t b, std::size_t blocks, std::size_t pairs, std::size_t rows, bool begins,
           std::size_t steps, const float* soon, std::size_t ldy) {
    ldy_ = ldy;
    Piece last{};
    for (std::size_t row = 0; row < rows; row += kPassRows) {
      for (std::size_t i = 0; i < blocks; ++i) {
        Piece now = piece_at(x, b + i, rows, row);
        now.steps = kBlockLines * (b + i + 1) <= steps ? kBlockLines : steps - kBlockLines * (b + i);
        for (std::size_t pair = 0; pair < pairs; ++pair) {
          now.w = &s_.w[i][pair * kPairTiles];
          now.sums = s_.sums[row] + pair * kPairOutputs;
          now.begins = begins && i == 0;
          now.soon = soon == nullptr || i + 1 != blocks ? nullptr : soon + row * ldy + pair * kPairOutputs;
          multiply(now, last);
          last = now;
        }
      }
    }
    store_second();
    scale(last);
  }

 private:
  static Piece piece_at(const BlockRows& x, std::size_t b, std::size_t rows, std::size_t row) {
    const auto stride_at = [rows](std::size_t at) { return rows - at < kActivationRows ? rows - at : kActivationRows; };
    // Where there are no others, the first stand in for them.
    const std::size_t second = row + kActivationRows < rows ? row + kActivationRows : row;
    return {{x.at(row, b), x.at(second, b)}, {stride_at(row), stride_at(second)}, &x.tail(row, b), nullptr, 0, nullptr, false, nullptr};
  }

  [[gnu::always_inline]] void scale(const Piece& piece) {
    if (piece.begins) {
      scale_rows<true>(piece);
    } else {
      scale_rows<false>(piece);
    }
  }
  template <bool kBegins>
  [[gnu::always_inline]] void scale_rows(const Piece& piece) {
    const Simd::F unit[kPairTiles] = {piece.w[0].unit, piece.w[1].unit};
    const BlockTail* tail = piece.tail;
    float* sums = piece.sums;
#pragma GCC unroll 32
    for (int row = 0; row < static_cast<int>(kPassRows); ++row) {
      const Simd::F scale = Simd::set1(tail[row].scale);
#pragma GCC unroll 2
      for (int i = 0; i < static_cast<int>(kPairTiles); ++i) {
        const auto* products = reinterpret_cast<const float*>(s_.products[row / 16 * 2 + i][row % 16]);
        const Simd::F scaled = Simd::mul(Simd::to_float(Simd::as_int(Simd::load(products))), unit[i]);
        float* sum = sums + row * static_cast<int>(kPanelOutputs) + 16 * i;
        Simd::store(sum, Simd::fma(scaled, scale, kBegins ? Simd::zero() : Simd::load(sum)));
      }
    }
  }

  /// Some of the outputs that are wanted soon.
  template <int kFrom, int kTo>
  [[gnu::always_inline]] void fetch_rows(const Piece& piece) const {
    if constexpr (kFrom < kTo) {
      const float* soon = piece.soon + static_cast<std::size_t>(kFrom) * ldy_;
      __builtin_prefetch(soon, 1);
      __builtin_prefetch(soon + 16, 1);
      fetch_rows<kFrom + 1, kTo>(piece);
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

  /// Inputs 64 kStep .. of kSteps steps. Sums are stored two products after their last, those of the second 16 rows in
  /// the next piece.
  template <int kStep, int kSteps>
  [[gnu::always_inline]] void step(const Piece& now) {
    constexpr bool kLast = kStep + 1 == kSteps;
    tiles_.template load<kWeights0>(now.w[0].w[kStep], 64);
    tiles_.template load<kRows0>(now.x[0] + kStep * now.stride[0], 64);
    product<kSum00, kStep, kRows0, kWeights0>();
    tiles_.template load<kWeights1>(now.w[1].w[kStep], 64);
    product<kSum01, kStep, kRows0, kWeights1>();
    if constexpr (kStep == 0) store_second();
    tiles_.template load<kRows1>(now.x[1] + kStep * now.stride[1], 64);
    product<kSum10, kStep, kRows1, kWeights0>();
    if constexpr (kLast) tiles_.template store<kSum00>(s_.products[kSum00], 64);
    product<kSum11, kStep, kRows1, kWeights1>();
    if constexpr (kLast) tiles_.template store<kSum01>(s_.products[kSum01], 64);
    if (now.soon != nullptr) fetch_rows<8 * kStep, 8 * kStep + 8>(now);
  }

  /// `before`: the piece that is scaled meanwhile, in one go: spread among the products it is 10 % slower.
  template <int kSteps>
  [[gnu::noinline]] void multiply_steps(const Piece& now, const Piece& before) {
    if constexpr (kSteps == 1) {
      // Its sums would be stored over those before.
      if (before.sums != nullptr) scale_late(before);
      step<0, kSteps>(now);
    } else {
      step<0, kSteps>(now);
      if (before.sums != nullptr) scale(before);
      step<1, kSteps>(now);
      if constexpr (kSteps > 2) step<2, kSteps>(now);
      if constexpr (kSteps > 3) step<3, kSteps>(now);
    }
  }
  void scale_late(const Piece& before) {
    store_second();
    scale(before);
  }

  void multiply(const Piece& now, const Piece& before) {
    switch (now.steps) {
      case 1:
        return multiply_steps<1>(now, before);
      case 2:
        return multiply_steps<2>(now, before);
      case 3:
        return multiply_steps<3>(now, before);
      default:
        return multiply_steps<4>(now, before);
    }
  }

  Tiles& tiles_;
  BlockTilesScratch& s_;
  std::size_t ldy_ = 0;
};

/// Sums so far, from and to the outputs of `tiles` tiles.
void load_sums(const LinearTask& task, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows,
               float (*sums)[kPanelOutputs]) {
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t output = 16 * (tile + t), count = task.outputs - output;
    for (std::size_t r = 0; r < rows; ++r) {
      const float* y = task.y + (row + r) * task.ldy + output;
      Simd::store(sums[r] + 16 * t, count >= 16 ? Simd::load(y) : Simd::load_partial(y, count));
    }
  }
}
void store_sums(const LinearTask& task, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows,
                const float (*sums)[kPanelOutputs]) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t t = 0; t < tiles; ++t) store_output(task, tile + t, row + r, Simd::load(sums[r] + 16 * t));
}

/// Rows [row, row + rows) times all tiles of the task. Inputs are taken in ranges whose activations stay in the cache.
template <typename C, typename Tiles>
void multiply_chunk_of_blocks(Tiles& tiles, const LinearTask& task, std::size_t row, std::size_t rows,
                              BlockTilesScratch& scratch) {
  const std::size_t blocks = (task.cols + kBlockInputs - 1) / kBlockInputs, fit = kRangeBytes / (rows * kBlockLines * 64);
  const std::size_t range = fit == 0 ? 1 : fit;
  const BlockRows x{task.lines + row * kBlockLines, task.tails + row, task.line_rows};
  BlockTiles<Tiles> product(tiles, scratch);
  for (std::size_t first = 0; first < blocks; first += range) {
    const std::size_t last = blocks - first < range ? blocks : first + range;
    LinearTask to = task;
    if (last != blocks) to.bias = nullptr;
    for (std::size_t tile = 0; tile < task.tile_count; tile += kPanelTiles) {
      const std::size_t count = task.tile_count - tile < kPanelTiles ? task.tile_count - tile : kPanelTiles;
      const std::size_t pairs = (count + 1) / kPairTiles;
      if (first != 0) load_sums(task, tile, count, row, rows, scratch.sums);
      for (std::size_t b = first; b < last; b += kPanelBlocks) {
        const std::size_t some = last - b < kPanelBlocks ? last - b : kPanelBlocks;
        for (std::size_t t = 0; t < pairs * kPairTiles; ++t)
          for (std::size_t i = 0; i < some; ++i)
            decode_block<C>(TilePart<C>(task, t < count ? tile + t : tile, (b + i) * kPartGroups), scratch.w[i][t]);
        // Of a panel of fewer outputs the end is asked for, too: nobody's, but harmless.
        const float* soon = b + some == last ? task.y + row * task.ldy + 16 * tile : nullptr;
        product.run(x, b, some, pairs, rows, first + b == 0, (task.cols + 63) / 64, soon, task.ldy);
      }
      store_sums(to, tile, count, row, rows, scratch.sums);
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

/// The codec of the task's type.
template <typename Tiles, std::size_t kCodec = 0>
void linear_blocks_on_tiles(const LinearTask& task) noexcept {
  if constexpr (kCodec < sizeof minke::kernels::kCodecs / sizeof minke::kernels::kCodecs[0]) {
    constexpr const CodecSpec& kSpec = minke::kernels::kCodecs[kCodec];
    if (task.dtype == kSpec.dtype) return linear_blocks_of<Codec<kSpec.dtype>, Tiles>(task);
    linear_blocks_on_tiles<Tiles, kCodec + 1>(task);
  }
}

}  // namespace
