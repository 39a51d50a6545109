// Products of groups of 32 int8 activations with packed tiles on matrix tiles (Intel AMX, or the tests' twin of it):
// the codecs with a float per 32 inputs. Included after linear_bytes.inl by the files that have a Tiles type.
//
// The packed form is what the instruction wants: a step is one row of its second operand (16 outputs x 4 inputs), and
// the groups of 16 activation rows, 64 bytes apart, are the rows of its first. The sums of a group are exact integers;
// they leave the tile to be scaled as on every other instruction set, in the same order, so the bits are the same and
// the choice by rows is free.
//
// Products of 256 inputs come first, then their scaling: while products run, fp32 multiply-adds of 64 bytes go at half
// their speed (linear_block_tiles.inl has the measurements).

namespace {

using minke::kernels::kActivationRows;

/// Fewer rows stay with vectors: 8 take two thirds of the time that they would take on tiles, 16 three quarters, 32
/// take a fifth more (Q8_0, Granite Rapids class).
constexpr std::size_t kLeastTileRows = 24;

/// Four tiles of sums, two of rows, two of weights, each used in turn.
inline TileConfig group_tile_config() {
  TileConfig config{};
  config.palette = 1;
  const auto shape = [&config](int tile, std::uint8_t rows, std::uint16_t bytes) {
    config.rows[tile] = rows;
    config.row_bytes[tile] = bytes;
  };
  for (int tile = 0; tile < 4; ++tile) shape(tile, 16, 64);
  for (int tile = 4; tile < 6; ++tile) shape(tile, 16, 32);
  for (int tile = 6; tile < 8; ++tile) shape(tile, 8, 64);
  return config;
}

/// Tiles of outputs that share loaded activations.
constexpr std::size_t kGroupTiles = 2;
/// Rows that share decoded weights; activations of 512 no longer fit into the second-level cache (1,536 inputs).
constexpr std::size_t kGroupChunkRows = 256;
static_assert(kGroupChunkRows % kActivationRows == 0);

struct GroupTilesScratch {
  DecodedBytes w[kGroupTiles];
  alignas(64) float sums[kGroupTiles][kGroupChunkRows][16];
  /// What left the tiles.
  alignas(64) std::int32_t integers[kPartGroups][kGroupTiles][kActivationRows][16];
};

/// Adds decoded blocks of kTiles tiles to the sums of 16 rows; row r's group g lies at x[g * stride + r]. The integers
/// are free of their zero point. Where the block has fewer rows, what follows them is read, too, and its sums mean
/// nothing.
template <typename S, std::size_t kTiles, typename Tiles>
struct MultiplyTiles {
  static_assert(S::kParts == 1);
  Tiles& tiles;
  GroupTilesScratch& s;
  std::size_t groups;
  const ActivationGroup* x;
  std::size_t stride;
  std::size_t row;  ///< of the chunk's sums

  /// Sums are stored two products later: right behind their own they would wait for it.
  template <std::size_t kStep = 0>
  [[gnu::always_inline]] void multiply_from() const {
    constexpr std::size_t kSteps = kPartGroups * kTiles, kLate = 2;
    if constexpr (kStep < kSteps + kLate) {
      constexpr std::size_t kGroup = kStep / kTiles, kTile = kStep % kTiles;
      constexpr int kSum = kStep % 4, kRows = 4 + kGroup % 2, kWeights = 6 + kStep % 2;
      if constexpr (kStep < kSteps) {
        if (kGroup < groups) {
          if constexpr (kTile == 0) tiles.template load<kRows>(x[kGroup * stride].q, sizeof(ActivationGroup));
          tiles.template load<kWeights>(s.w[kTile].w[kGroup], 64);
          tiles.template zero<kSum>();
          tiles.template add_products<kSum, kRows, kWeights>();
        }
      }
      if constexpr (kStep >= kLate) {
        constexpr std::size_t kOf = kStep - kLate;
        if (kOf / kTiles < groups) tiles.template store<kOf % 4>(s.integers[kOf / kTiles][kOf % kTiles], 64);
      }
      multiply_from<kStep + 1>();
    }
  }

  /// One row's step of the sum over groups, as add_group.
  [[gnu::always_inline]] Simd::F scaled(std::size_t tile, std::size_t group, std::size_t r, Simd::F sum) const {
    const ActivationGroup& of = x[group * stride + r];
    const auto* v = reinterpret_cast<const float*>(s.integers[group][tile][r]);
    const Simd::F products = Simd::mul(Simd::to_float(Simd::as_int(Simd::load(v))), s.w[tile].scale[group]);
    sum = Simd::fma(products, Simd::set1(of.scale), sum);
    if constexpr (S::kOffset) sum = Simd::fma(Simd::set1(of.sum), s.w[tile].offset[group], sum);
    return sum;
  }

  [[gnu::noinline]] void run() const {
    multiply_from();
    for (std::size_t tile = 0; tile < kTiles; ++tile) {
      float(*sums)[16] = s.sums[tile] + row;
      Simd::F sum[kActivationRows];
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kActivationRows; ++r) sum[r] = Simd::load(sums[r]);
      for (std::size_t g = 0; g < groups; ++g) {
#pragma GCC unroll 16
        for (std::size_t r = 0; r < kActivationRows; ++r) sum[r] = scaled(tile, g, r, sum[r]);
      }
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kActivationRows; ++r) Simd::store(sums[r], sum[r]);
    }
  }
};

/// The zero point taken off, so that the bytes are signed: it fits for every codec.
template <typename S>
void free_of_zero(std::size_t groups, DecodedBytes& decoded) {
  static_assert(S::kWide ? S::kZero == 128 : S::kMax <= 127 && S::kZero <= 128);
  if constexpr (S::kZero != 0) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(decoded.w);
    for (std::size_t i = 0; i < groups * 512; ++i) bytes[i] = static_cast<std::uint8_t>(bytes[i] - S::kZero);
  }
}

/// Rows [row, row + rows) times kTiles tiles.
template <typename C, std::size_t kTiles, typename Tiles>
void multiply_chunk_on_tiles(Tiles& tiles, const LinearTask& task, std::size_t tile, std::size_t row, std::size_t rows,
                             GroupTilesScratch& scratch) {
  using S = ShapeOf<C>;
  constexpr std::size_t kBlock = kActivationRows;
  const std::size_t groups = task.cols / 32, whole = (rows + kBlock - 1) / kBlock * kBlock;
  for (std::size_t t = 0; t < kTiles; ++t) std::memset(scratch.sums[t], 0, whole * sizeof scratch.sums[t][0]);
  for (std::size_t first = 0; first < groups; first += kPartGroups) {
    const std::size_t count = groups - first < kPartGroups ? groups - first : kPartGroups;
    for (std::size_t t = 0; t < kTiles; ++t) {
      decode_bytes<C>(TilePart<C>(task, tile + t, first), scratch.w[t]);
      free_of_zero<S>(count, scratch.w[t]);
    }
    for (std::size_t r = 0; r < rows; r += kBlock) {
      const std::size_t stride = rows - r < kBlock ? rows - r : kBlock;
      const ActivationGroup* x = task.groups + (row + r) * groups + first * stride;
      MultiplyTiles<S, kTiles, Tiles>{tiles, scratch, count, x, stride, r}.run();
    }
  }
  for (std::size_t t = 0; t < kTiles; ++t)
    for (std::size_t r = 0; r < rows; ++r) store_output(task, tile + t, row + r, Simd::load(scratch.sums[t][r]));
}

template <typename C, typename Tiles>
void linear_on_tiles_of(const LinearTask& task) {
  Tiles tiles(group_tile_config());
  GroupTilesScratch scratch;
  for (std::size_t row = 0; row < task.rows; row += kGroupChunkRows) {
    const std::size_t rows = task.rows - row < kGroupChunkRows ? task.rows - row : kGroupChunkRows;
    std::size_t tile = 0;
    for (; tile + kGroupTiles <= task.tile_count; tile += kGroupTiles)
      multiply_chunk_on_tiles<C, kGroupTiles>(tiles, task, tile, row, rows, scratch);
    if (tile < task.tile_count) multiply_chunk_on_tiles<C, 1>(tiles, task, tile, row, rows, scratch);
  }
}

/// kVectors: whose product takes the few rows, with the same bits, and types that linear_block_tiles.inl is for.
template <typename Tiles, const minke::kernels::KernelTable& kVectors, std::size_t kCodec = 0>
void linear_bytes_on_tiles(const LinearTask& task) noexcept {
  if constexpr (kCodec == sizeof minke::kernels::kCodecs / sizeof minke::kernels::kCodecs[0]) {
    kVectors.linear_bytes(task);
  } else {
    constexpr const CodecSpec& kSpec = minke::kernels::kCodecs[kCodec];
    if constexpr (!minke::kernels::has_integer_blocks(kSpec)) {
      if (task.dtype == kSpec.dtype && task.rows >= kLeastTileRows)
        return linear_on_tiles_of<Codec<kSpec.dtype>, Tiles>(task);
    }
    linear_bytes_on_tiles<Tiles, kVectors, kCodec + 1>(task);
  }
}

}  // namespace
