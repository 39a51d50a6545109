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

/// Adds a decoded block to the sums of 16 rows; row r's group g lies at x[g * stride + r]. The integers are free of
/// their zero point. Where the block has fewer rows, what follows them is read, too, and its sums mean nothing.
template <typename S, typename Tiles>
struct MultiplyTiles {
  static_assert(S::kParts == 1);
  Tiles& tiles;
  const DecodedBytes& w;
  std::size_t groups;
  const ActivationGroup* x;
  std::size_t stride;
  float (*sums)[16];

  struct alignas(64) Integers {
    std::int32_t v[kPartGroups][16][16];
  };

  /// Sums are stored two products later: right behind their own they would wait for it.
  template <std::size_t kStep = 0>
  [[gnu::always_inline]] void multiply_from(Integers& out) const {
    if constexpr (kStep < kPartGroups + 2) {
      constexpr int kSum = kStep % 4, kRows = 4 + kStep % 2, kWeights = 6 + kStep % 2;
      if constexpr (kStep < kPartGroups) {
        if (kStep < groups) {
          tiles.template load<kRows>(x[kStep * stride].q, sizeof(ActivationGroup));
          tiles.template load<kWeights>(w.w[kStep], 64);
          tiles.template zero<kSum>();
          tiles.template add_products<kSum, kRows, kWeights>();
        }
      }
      if constexpr (kStep >= 2) {
        if (kStep - 2 < groups) tiles.template store<(kStep - 2) % 4>(out.v[kStep - 2], 64);
      }
      multiply_from<kStep + 1>(out);
    }
  }

  /// One row's step of the sum over groups, as add_group.
  [[gnu::always_inline]] Simd::F scaled(std::size_t group, std::size_t row, const Integers& integers,
                                        Simd::F sum) const {
    const ActivationGroup& of = x[group * stride + row];
    const auto* v = reinterpret_cast<const float*>(integers.v[group][row]);
    const Simd::F products = Simd::mul(Simd::to_float(Simd::as_int(Simd::load(v))), w.scale[group]);
    sum = Simd::fma(products, Simd::set1(of.scale), sum);
    if constexpr (S::kOffset) sum = Simd::fma(Simd::set1(of.sum), w.offset[group], sum);
    return sum;
  }

  [[gnu::noinline]] void run() const {
    Integers integers;
    multiply_from(integers);
    Simd::F sum[kActivationRows];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kActivationRows; ++r) sum[r] = Simd::load(sums[r]);
    for (std::size_t g = 0; g < groups; ++g) {
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kActivationRows; ++r) sum[r] = scaled(g, r, integers, sum[r]);
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kActivationRows; ++r) Simd::store(sums[r], sum[r]);
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

/// As multiply_chunk.
template <typename C, typename Tiles>
void multiply_chunk_on_tiles(Tiles& tiles, const LinearTask& task, std::size_t tile, std::size_t row,
                             std::size_t rows) {
  using S = ShapeOf<C>;
  constexpr std::size_t kBlock = kActivationRows;
  const std::size_t groups = task.cols / 32;
  ChunkSums sums;
  std::memset(&sums, 0, sizeof sums);
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
  Tiles tiles(group_tile_config());
  for (std::size_t tile = 0; tile < task.tile_count; ++tile)
    for (std::size_t row = 0; row < task.rows; row += kChunkRows)
      multiply_chunk_on_tiles<C>(tiles, task, tile, row, task.rows - row < kChunkRows ? task.rows - row : kChunkRows);
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
