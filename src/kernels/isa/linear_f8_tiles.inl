// Products of FP8 weights on matrix tiles: as they are, without their scales, every one of them is a BF16 number, and
// 128 inputs' sums leave the tiles to be scaled in fp32 (as DeepSeek-V3, section 3.3.2, promotes its own every 128).
// Included after linear_half_tiles.inl.

namespace {

using minke::kernels::kF8Block;

/// Products between scalings, scalings of a block of inputs.
constexpr std::size_t kF8Steps = kF8Block / kHalfInputs, kBlockScales = kHalfSteps / kF8Steps;
static_assert(kBlockScales == 2);

template <typename Tiles>
class F8Weights {
 public:
  F8Weights(const LinearTask& task, HalfScratch& scratch) : task_(task), scratch_(scratch) {}

  void take(Tiles& tiles, std::size_t tile, std::size_t pair, std::size_t first, std::size_t steps) {
    finish(tiles);  // with the scales that were
    steps_ = steps;
    begins_ = first == 0;
    for (std::size_t t = 0; t < kPairTiles; ++t) {
      const F8Tile part(task_, tile + (t < pair ? t : 0));
      widen(part, first, steps, scratch_.w[t]);
      for (std::size_t i = 0; i * kF8Steps < steps; ++i)
        scales_[i][t] = Simd::load(part.scales + 16 * (first / kF8Steps + i));
    }
  }

  /// Products of 128 inputs run beside the scaling of those before.
  void multiply(Tiles& tiles, const ActivationLine* x, std::size_t rows, float (*sums)[kPairOutputs]) {
    rows > kActivationRows ? multiply_rows<true>(tiles, x, rows, sums) : multiply_rows<false>(tiles, x, rows, sums);
  }
  void finish(Tiles&) {
    scale_pending();
    pending_ = {};
  }

  void multiply_few(Tiles& tiles, std::size_t tile, float (*sums)[kPairOutputs]) {
    const F8Tile part(task_, tile);
    const std::size_t steps = half_steps(task_.cols);
    const auto count = [&](std::size_t first) { return steps - first < kF8Steps ? steps - first : kF8Steps; };
    for (std::size_t row = 0; row < task_.rows; ++row) Simd::store(sums[row], Simd::zero());
    // Weights stored just now could not be loaded yet, nor products: each stage works on those of the round before.
    for (std::size_t first = 0; first < steps + 2 * kF8Steps; first += kF8Steps) {
      if (first < steps) widen(part, first, count(first), ring(first));
      if (first >= kF8Steps && first - kF8Steps < steps)
        multiply_few_steps(tiles, first - kF8Steps, count(first - kF8Steps));
      if (first >= 2 * kF8Steps) scale_few(part, first - 2 * kF8Steps, sums);
    }
  }

 private:
  struct Pending {
    float (*sums)[kPairOutputs];  ///< null: nothing
    std::size_t scale;            ///< of the block's
    bool both, begins;
  };

  void widen(const F8Tile& part, std::size_t first, std::size_t steps, HalfStep* to) const {
    for (std::size_t step = 0; step < steps; ++step) {
      const std::size_t input = (first + step) * kHalfInputs, left = task_.cols - input;
      const std::uint8_t* from = part.weights + 16 * input;
      alignas(64) std::uint8_t padded[16 * kHalfInputs];
      if (left < kHalfInputs) {
        std::memset(padded, 0, sizeof padded);
        std::memcpy(padded, from, 16 * left);
        from = padded;
      } else if (task_.fetch_ahead != 0) {
#pragma GCC unroll 8
        for (std::size_t line = 0; line < 16 * kHalfInputs; line += 64)
          __builtin_prefetch(from + task_.fetch_ahead + line);
      }
#pragma GCC unroll 8
      for (std::size_t i = 0; i < 8; ++i) Tiles::widen_f8(from + 64 * i, to[step].v[2 * i][0]);
    }
  }

  template <bool kBoth>
  [[gnu::noinline]] void multiply_rows(Tiles& tiles, const ActivationLine* x, std::size_t rows,
                                       float (*sums)[kPairOutputs]) {
    const std::size_t stride0 = rows < kActivationRows ? rows : kActivationRows;
    const std::size_t stride1 = kBoth && rows < kPassRows ? rows - kActivationRows : kActivationRows;
    const ActivationLine* x1 = x + kActivationRows * kHalfSteps;
    for (std::size_t first = 0; first < steps_; first += kF8Steps) {
      const std::size_t last = steps_ - first < kF8Steps ? steps_ : first + kF8Steps;
      tiles.template zero<kSum00>();
      tiles.template zero<kSum01>();
      if constexpr (kBoth) tiles.template zero<kSum10>();
      if constexpr (kBoth) tiles.template zero<kSum11>();
      for (std::size_t step = first; step < last; ++step) {
        tiles.template load<kWeights0>(scratch_.w[0] + step, 64);
        tiles.template load<kRows0>(x + step * stride0, 64);
        tiles.template add_bf16_products<kSum00, kRows0, kWeights0>();
        tiles.template load<kWeights1>(scratch_.w[1] + step, 64);
        tiles.template add_bf16_products<kSum01, kRows0, kWeights1>();
        if constexpr (kBoth) {
          tiles.template load<kRows1>(x1 + step * stride1, 64);
          tiles.template add_bf16_products<kSum10, kRows1, kWeights0>();
          tiles.template add_bf16_products<kSum11, kRows1, kWeights1>();
        }
      }
      scale_pending();
      tiles.template store<kSum00>(products_[0], 64);
      tiles.template store<kSum01>(products_[1], 64);
      if constexpr (kBoth) tiles.template store<kSum10>(products_[2], 64);
      if constexpr (kBoth) tiles.template store<kSum11>(products_[3], 64);
      pending_ = {sums, first / kF8Steps, kBoth, begins_ && first == 0};
    }
  }

  void scale_pending() {
    if (pending_.sums == nullptr) return;
    pending_.begins ? scale_rows<true>() : scale_rows<false>();
  }
  template <bool kBegins>
  [[gnu::always_inline]] void scale_rows() {
    const Simd::F* scale = scales_[pending_.scale];
    const Simd::F first = scale[0], second = scale[1];
    const std::size_t rows = pending_.both ? kPassRows : kActivationRows;
#pragma GCC unroll 4
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t tile = row / kActivationRows * kPairTiles, line = row % kActivationRows;
      float* sum = pending_.sums[row];
      const Simd::F at = kBegins ? Simd::zero() : Simd::load(sum), after = kBegins ? at : Simd::load(sum + 16);
      Simd::store(sum, Simd::fma(Simd::load(products_[tile][line]), first, at));
      Simd::store(sum + 16, Simd::fma(Simd::load(products_[tile + 1][line]), second, after));
    }
  }

  /// Where the weights of few rows' steps lie, of two rounds.
  HalfStep* ring(std::size_t first) const { return scratch_.w[0] + first % kHalfSteps; }

  void multiply_few_steps(Tiles& tiles, std::size_t first, std::size_t steps) {
    const HalfStep* w = ring(first);
    tiles.template zero<kSum00>();
    for (std::size_t step = 0; step < steps; ++step) {
      tiles.template load<kRows0>(half_line(task_, first + step), 64);
      tiles.template load<kWeights0>(w + step, 64);
      tiles.template add_bf16_products<kSum00, kRows0, kWeights0>();
    }
    tiles.template store<kSum00>(products_[first / kF8Steps % 2], 64);
  }
  void scale_few(const F8Tile& part, std::size_t first, float (*sums)[kPairOutputs]) const {
    const Simd::F scale = Simd::load(part.scales + 16 * (first / kF8Steps));
    const auto& products = products_[first / kF8Steps % 2];
    for (std::size_t row = 0; row < task_.rows; ++row)
      Simd::store(sums[row], Simd::fma(Simd::load(products[row]), scale, Simd::load(sums[row])));
  }

  Simd::F scales_[kBlockScales][kPairTiles];
  alignas(64) float products_[4][kActivationRows][16];
  const LinearTask& task_;
  HalfScratch& scratch_;
  std::size_t steps_ = 0;
  Pending pending_{};
  bool begins_ = false;
};

template <typename Tiles>
void linear_halves_on_tiles(const LinearTask& task) noexcept {
  task.dtype == DType::bf16 ? linear_halves_of<HalfWeights<Tiles>, Tiles>(task)
                            : linear_halves_of<F8Weights<Tiles>, Tiles>(task);
}

}  // namespace
