// Products of BF16 activations on matrix tiles (Intel AMX, or the tests' twin of it): those with weights of BF16, and
// what those with FP8 (linear_f8_tiles.inl) share with them. Included after linear_block_tiles.inl by the files that
// have a Tiles type.
//
// Sums stay in the tiles from the first input to the last, 32 inputs a product in ascending order; for many rows they
// wait in memory between blocks of inputs, which changes no bit of them.
//
// Measured (Xeon of the Granite Rapids class, 3.2 to 3.7 GHz, one thread): four products of 16 x 16 x 32 with their
// four loads take 56 cycles from the nearest cache, 74 when activations come from the second-level one, 104 with sums
// loaded and stored every 256 inputs; in whole products, weights and outputs elsewhere, 190. More inputs between sums,
// whose weights then leave the nearest cache, take longer (119 to 160), as do 16 rows by 64 outputs (117), prefetching
// activations, weights or sums (as long or longer), and sums that wait in the outputs.

namespace {

/// Inputs of one product; products whose weights are widened together: those of two tiles of outputs take 16 KiB.
constexpr std::size_t kHalfInputs = 32, kHalfSteps = minke::kernels::kHalfLines;
static_assert(kHalfSteps * kHalfInputs == kBlockInputs);

/// One product's weights: 16 pairs of inputs by 16 outputs.
struct alignas(64) HalfStep {
  std::uint16_t v[16][16][2];
};

/// Rows that share widened weights: with 512 their activations no longer fit into the second-level cache beside the
/// rest, which takes a sixth more time (1,536 inputs).
constexpr std::size_t kHalfChunkRows = 256;
static_assert(kHalfChunkRows % kPassRows == 0);

struct HalfScratch {
  alignas(64) float sums[kHalfChunkRows][kPairOutputs];
  HalfStep w[kPairTiles][kHalfSteps];
};

constexpr std::size_t half_steps(std::size_t inputs) { return (inputs + kHalfInputs - 1) / kHalfInputs; }

inline TileConfig half_tile_config(std::size_t rows) {
  TileConfig config = block_tile_config();
  for (const int tile : {kSum00, kSum01, kSum10, kSum11, kRows0, kRows1})
    config.rows[tile] = static_cast<std::uint8_t>(rows);
  return config;
}

/// The line of up to 16 rows that are the whole task: inputs 32 step ...
inline const ActivationLine* half_line(const LinearTask& task, std::size_t step) {
  return task.halves + step / kHalfSteps * kHalfSteps * task.line_rows + step % kHalfSteps * task.rows;
}

/// A block of a pair of tiles' weights.
struct HalfBlock {
  const HalfStep* w[kPairTiles];
  std::size_t steps;
  bool begins;  ///< the sums are yet zero
};

/// Up to 32 rows at x times a block of a pair of tiles. Rows of the last 16 that are missing are read as if they were
/// there; what comes of those is nobody's.
template <bool kBoth, typename Tiles>
[[gnu::noinline]] void multiply_half_rows(Tiles& tiles, const HalfBlock& block, const ActivationLine* x,
                                          std::size_t rows, float (*sums)[kPairOutputs]) {
  const std::size_t stride0 = rows < kActivationRows ? rows : kActivationRows;
  const std::size_t stride1 = kBoth && rows < kPassRows ? rows - kActivationRows : kActivationRows;
  const ActivationLine* x1 = x + kActivationRows * kHalfSteps;
  constexpr std::size_t kRowBytes = sizeof sums[0];
  float *first = sums[0], *second = sums[kBoth ? kActivationRows : 0];
  if (block.begins) {
    tiles.template zero<kSum00>();
    tiles.template zero<kSum01>();
    if constexpr (kBoth) tiles.template zero<kSum10>();
    if constexpr (kBoth) tiles.template zero<kSum11>();
  } else {
    tiles.template load<kSum00>(first, kRowBytes);
    tiles.template load<kSum01>(first + 16, kRowBytes);
    if constexpr (kBoth) tiles.template load<kSum10>(second, kRowBytes);
    if constexpr (kBoth) tiles.template load<kSum11>(second + 16, kRowBytes);
  }
  for (std::size_t step = 0; step < block.steps; ++step) {
    tiles.template load<kWeights0>(block.w[0] + step, 64);
    tiles.template load<kRows0>(x + step * stride0, 64);
    tiles.template add_bf16_products<kSum00, kRows0, kWeights0>();
    tiles.template load<kWeights1>(block.w[1] + step, 64);
    tiles.template add_bf16_products<kSum01, kRows0, kWeights1>();
    if constexpr (kBoth) {
      tiles.template load<kRows1>(x1 + step * stride1, 64);
      tiles.template add_bf16_products<kSum10, kRows1, kWeights0>();
      tiles.template add_bf16_products<kSum11, kRows1, kWeights1>();
    }
  }
  tiles.template store<kSum00>(first, kRowBytes);
  tiles.template store<kSum01>(first + 16, kRowBytes);
  if constexpr (kBoth) tiles.template store<kSum10>(second, kRowBytes);
  if constexpr (kBoth) tiles.template store<kSum11>(second + 16, kRowBytes);
}

/// Weights of BF16, in place but for what lies behind the last input, which has to be zero.
template <typename Tiles>
class HalfWeights {
 public:
  HalfWeights(const LinearTask& task, HalfScratch& scratch) : task_(task), scratch_(scratch) {}

  /// Steps [first, first + steps) of tiles `tile` and tile + 1, or `tile` alone.
  void take(Tiles&, std::size_t tile, std::size_t pair, std::size_t first, std::size_t steps) {
    block_ = {{at(tile, first, steps, scratch_.w[0]), nullptr}, steps, first == 0};
    block_.w[1] = pair == 1 ? block_.w[0] : at(tile + 1, first, steps, scratch_.w[1]);
  }
  void multiply(Tiles& tiles, const ActivationLine* x, std::size_t rows, float (*sums)[kPairOutputs]) {
    rows > kActivationRows ? multiply_half_rows<true>(tiles, block_, x, rows, sums)
                           : multiply_half_rows<false>(tiles, block_, x, rows, sums);
  }
  void finish(Tiles&) {}

  /// All rows of the task, 16 at most, by one tile: the sums never leave theirs.
  void multiply_few(Tiles& tiles, std::size_t tile, float (*sums)[kPairOutputs]) {
    const std::size_t steps = half_steps(task_.cols);
    tiles.template zero<kSum00>();
    for (std::size_t first = 0; first < steps; first += kHalfSteps) {
      const std::size_t count = steps - first < kHalfSteps ? steps - first : kHalfSteps;
      const HalfStep* w = at(tile, first, count, scratch_.w[0]);
      for (std::size_t step = 0; step < count; ++step) {
        const char* ahead = reinterpret_cast<const char*>(w + step) + task_.fetch_ahead;
#pragma GCC unroll 16
        for (std::size_t line = 0; line < sizeof(HalfStep); line += 64) __builtin_prefetch(ahead + line);
        tiles.template load<kRows0>(half_line(task_, first + step), 64);
        tiles.template load<kWeights0>(w + step, 64);
        tiles.template add_bf16_products<kSum00, kRows0, kWeights0>();
      }
    }
    tiles.template store<kSum00>(sums, sizeof sums[0]);
  }

 private:
  const HalfStep* at(std::size_t tile, std::size_t first, std::size_t steps, HalfStep* to) const {
    const auto* from = reinterpret_cast<const HalfStep*>(task_.tiles + tile * task_.tile_bytes) + first;
    if ((first + steps) * kHalfInputs <= task_.cols) return from;
    std::memset(static_cast<void*>(to), 0, steps * sizeof(HalfStep));
    std::memcpy(static_cast<void*>(to), from, (task_.cols - first * kHalfInputs + 1) / 2 * sizeof from->v[0]);
    return to;
  }

  const LinearTask& task_;
  HalfScratch& scratch_;
  HalfBlock block_{};
};

/// Rows [row, row + rows) times all tiles of the task. Inputs are taken in ranges whose activations stay in the cache.
template <typename Weights, typename Tiles>
void multiply_chunk_of_halves(Tiles& tiles, const LinearTask& task, std::size_t row, std::size_t rows,
                              HalfScratch& scratch) {
  const std::size_t steps = half_steps(task.cols), fit = kRangeBytes / (rows * 64) / kHalfSteps * kHalfSteps;
  const std::size_t range = fit == 0 ? kHalfSteps : fit;
  Weights weights(task, scratch);
  for (std::size_t first = 0; first < steps; first += range) {
    const std::size_t last = steps - first < range ? steps : first + range;
    LinearTask to = task;
    if (last != steps) to.bias = nullptr;
    for (std::size_t tile = 0; tile < task.tile_count; tile += kPairTiles) {
      const std::size_t pair = task.tile_count - tile < kPairTiles ? task.tile_count - tile : kPairTiles;
      if (first != 0) load_sums(task, tile, pair, row, rows, scratch.sums);
      for (std::size_t step = first; step < last; step += kHalfSteps) {
        weights.take(tiles, tile, pair, step, last - step < kHalfSteps ? last - step : kHalfSteps);
        for (std::size_t r = 0; r < rows; r += kPassRows)
          weights.multiply(tiles, task.halves + step * task.line_rows + (row + r) * kHalfSteps, rows - r,
                           scratch.sums + r);
      }
      weights.finish(tiles);
      store_sums(to, tile, pair, row, rows, scratch.sums);
    }
  }
}

template <typename Weights, typename Tiles>
void few_rows_of_halves(const LinearTask& task, HalfScratch& scratch) {
  Tiles tiles(half_tile_config(task.rows));
  Weights weights(task, scratch);
  for (std::size_t tile = 0; tile < task.tile_count; ++tile) {
    weights.multiply_few(tiles, tile, scratch.sums);
    for (std::size_t row = 0; row < task.rows; ++row) store_output(task, tile, row, Simd::load(scratch.sums[row]));
  }
}

template <typename Weights, typename Tiles>
void linear_halves_of(const LinearTask& task) {
  HalfScratch scratch;
  if (task.rows <= kActivationRows) return few_rows_of_halves<Weights, Tiles>(task, scratch);
  Tiles tiles(half_tile_config(kActivationRows));
  for (std::size_t row = 0; row < task.rows; row += kHalfChunkRows) {
    const std::size_t rows = task.rows - row < kHalfChunkRows ? task.rows - row : kHalfChunkRows;
    multiply_chunk_of_halves<Weights>(tiles, task, row, rows, scratch);
  }
}

template <typename Tiles>
void round_halves(const float* x, std::size_t cols, ActivationLine* out, std::size_t stride) noexcept {
  const auto lanes = [&](std::size_t k) {
    return k >= cols ? Simd::zero() : Simd::load_partial(x + k, cols - k < 16 ? cols - k : 16);
  };
  for (std::size_t k = 0; k < cols; k += kHalfInputs, out += stride)
    Tiles::round_bf16(lanes(k), lanes(k + 16), reinterpret_cast<std::uint16_t*>(out->bytes));
}

}  // namespace
