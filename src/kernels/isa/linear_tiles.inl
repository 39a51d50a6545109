// Products of int8 activations with packed tiles on matrix tiles (Intel AMX, or the tests' twin of it). Included after
// linear_bytes.inl by the files that have a Tiles type.
//
// The packed form is what the instruction wants: a step is one row of its second operand (16 outputs x 4 inputs), and
// the groups of 16 activation rows, 64 bytes apart, are the rows of its first. The sums of a sub-group of inputs are
// exact integers; they leave the tile to be scaled as on every other instruction set, in the same order, so the bits
// are the same and the choice by rows is free.
//
// What that costs, by Intel's tables for Sapphire Rapids (not measured: no such machine was at hand). For 16 rows, 16
// outputs and 32 inputs: the product 16 cycles (with 64 inputs they would be as many), the store 16; beside them the
// scaling, 3 or 4 vector instructions and 2 or 3 loads a row, on two ports each: about 30 cycles with the tiles' own
// loads. 8192 products in 30 cycles are 270 a cycle, three times what vpdpbusd reaches with the same scaling (64 + 30
// cycles), a quarter of what tiles reach without it. A scale per 16 inputs halves that. Instructions on BF16 tiles
// would need no scaling (512 a cycle), but their roundings and their flushing of subnormals are those of no other
// instruction set, so bits would differ.

namespace {

/// Products with fewer rows stay with vectors: a tile's latency is not hidden, and the tile's weights have to be
/// decoded into memory first.
constexpr std::size_t kLeastTileRows = 8;
/// Sub-groups between a product and the use of its sums: about 80 cycles pass until they can be read.
constexpr std::size_t kTileLead = 2;
constexpr std::size_t kTileRing = 4;
static_assert(kTileRing >= kTileLead + 2 && (kTileRing & (kTileRing - 1)) == 0);

/// Which tile is what: whole blocks of 16 rows, and the last, smaller one.
enum : int { kWholeSums = 0, kRestSums = 1, kWholeRows = 2, kRestRows = 3, kTileWeights = 4 };

template <typename S>
TileConfig tile_config(std::size_t rows) {
  TileConfig config{};
  const auto shape = [&config](int tile, std::size_t tile_rows, std::size_t bytes) {
    config.rows[tile] = static_cast<std::uint8_t>(tile_rows);
    config.row_bytes[tile] = static_cast<std::uint16_t>(bytes);
  };
  constexpr std::size_t kBlock = minke::kernels::kActivationRows;
  const std::size_t rest = rows % kBlock;
  config.palette = 1;
  shape(kWholeSums, kBlock, 64);
  shape(kWholeRows, kBlock, 4 * S::kSteps);
  shape(kTileWeights, S::kSteps, 64);
  if (rest != 0) {
    shape(kRestSums, rest, 64);
    shape(kRestRows, rest, 4 * S::kSteps);
  }
  return config;
}

/// Adds a decoded block to the sums of up to 16 rows; row r's group g lies at x[g * rows + r]. The integers are free
/// of their zero point.
template <typename S, typename Tiles>
struct MultiplyTiles {
  Tiles& tiles;
  const DecodedBytes& w;
  std::size_t groups;
  const ActivationGroup* x;
  std::size_t rows;
  float (*sums)[16];
  /// Integers of the last kTileRing sub-groups.
  struct alignas(64) Ring {
    std::int32_t v[kTileRing][16][16];
  };

  /// Groups between a product and its use.
  static constexpr std::size_t kLead = kTileLead / S::kParts;

  static std::int32_t (*integers_of(Ring& ring, std::size_t group, std::size_t part))[16] {
    return ring.v[(group * S::kParts + part) % kTileRing];
  }

  template <int kSums, int kRows>
  [[gnu::always_inline]] void multiply(std::size_t group, Ring& ring) const {
    for (std::size_t part = 0; part < S::kParts; ++part) {
      tiles.template zero<kSums>();
      tiles.template load<kRows>(x[group * rows].q + 4 * S::kSteps * part, sizeof(ActivationGroup));
      tiles.template load<kTileWeights>(&w.w[group][S::kSteps * part], 64);
      tiles.template add_products<kSums, kRows, kTileWeights>();
      tiles.template store<kSums>(integers_of(ring, group, part), 64);
    }
  }

  /// One row's step of the sum over groups, as add_group.
  [[gnu::always_inline]] Simd::F scaled(std::size_t group, std::size_t row, Ring& ring, Simd::F sum) const {
    const ActivationGroup& of = x[group * rows + row];
    Simd::F products = Simd::zero();
    for (std::size_t part = 0; part < S::kParts; ++part) {
      const auto* integers = reinterpret_cast<const float*>(integers_of(ring, group, part)[row]);
      const Simd::F value = Simd::to_float(Simd::as_int(Simd::load(integers)));
      const Simd::F scale = w.scale[group * S::kParts + part];
      products = part == 0 ? Simd::mul(value, scale) : Simd::fma(value, scale, products);
    }
    sum = Simd::fma(products, Simd::set1(of.scale), sum);
    if constexpr (S::kOffset) {
      for (std::size_t part = 0; part < S::kParts; ++part)
        sum =
            Simd::fma(Simd::set1(S::kParts == 1 ? of.sum : of.half_sum[part]), w.offset[group * S::kParts + part], sum);
    }
    return sum;
  }

  [[gnu::noinline]] void whole() const {
    constexpr std::size_t kRows = minke::kernels::kActivationRows;
    Ring ring;
    Simd::F sum[kRows];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kRows; ++r) sum[r] = Simd::load(sums[r]);
    for (std::size_t i = 0; i < groups + kLead; ++i) {
      if (i < groups) multiply<kWholeSums, kWholeRows>(i, ring);
      if (i < kLead) continue;
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kRows; ++r) sum[r] = scaled(i - kLead, r, ring, sum[r]);
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kRows; ++r) Simd::store(sums[r], sum[r]);
  }
  [[gnu::noinline]] void rest() const {
    Ring ring;
    for (std::size_t i = 0; i < groups; ++i) {
      multiply<kRestSums, kRestRows>(i, ring);
      for (std::size_t r = 0; r < rows; ++r) Simd::store(sums[r], scaled(i, r, ring, Simd::load(sums[r])));
    }
  }
  void run() const { rows == minke::kernels::kActivationRows ? whole() : rest(); }
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

/// As multiply_chunk.
template <typename C, typename Tiles>
void multiply_chunk_on_tiles(Tiles& tiles, const LinearTask& task, std::size_t tile, std::size_t row,
                             std::size_t rows) {
  using S = ShapeOf<C>;
  constexpr std::size_t kBlock = minke::kernels::kActivationRows;
  const std::size_t groups = task.cols / 32;
  ChunkSums sums;
  std::memset(&sums, 0, rows * sizeof sums.v[0]);
  DecodedBytes decoded;
  for (std::size_t first = 0; first < groups; first += kPartGroups) {
    const TilePart<C> part(task, tile, first);
    decode_bytes<C>(part, decoded);
    free_of_zero<S>(part.groups, decoded);
    for (std::size_t r = 0; r < rows; r += kBlock) {
      const std::size_t stride = rows - r < kBlock ? rows - r : kBlock;
      const ActivationGroup* x = task.groups + (row + r) * groups + first * stride;
      MultiplyTiles<S, Tiles>{tiles, decoded, part.groups, x, stride, sums.v + r}.run();
    }
  }
  for (std::size_t r = 0; r < rows; ++r) store_output(task, tile, row + r, Simd::load(sums.v[r]));
}

template <typename C, typename Tiles>
void linear_on_tiles_of(const LinearTask& task) {
  Tiles tiles(tile_config<ShapeOf<C>>(task.rows));
  for (std::size_t tile = 0; tile < task.tile_count; ++tile)
    for (std::size_t row = 0; row < task.rows; row += kChunkRows)
      multiply_chunk_on_tiles<C>(tiles, task, tile, row, task.rows - row < kChunkRows ? task.rows - row : kChunkRows);
}

/// The codec of the task's type; types without one have no product of bytes.
template <typename Tiles, std::size_t kCodec = 0>
void linear_on_tiles(const LinearTask& task) {
  if constexpr (kCodec < sizeof minke::kernels::kCodecs / sizeof minke::kernels::kCodecs[0]) {
    constexpr DType kType = minke::kernels::kCodecs[kCodec].dtype;
    if (task.dtype == kType) return linear_on_tiles_of<Codec<kType>, Tiles>(task);
    linear_on_tiles<Tiles, kCodec + 1>(task);
  }
}

/// kVectors: whose product takes the few rows; the bits are the same.
template <typename Tiles, const minke::kernels::KernelTable& kVectors>
void linear_bytes_on_tiles(const LinearTask& task) noexcept {
  if (task.rows < kLeastTileRows) {
    kVectors.linear_bytes(task);
  } else {
    linear_on_tiles<Tiles>(task);
  }
}

}  // namespace
