// Products of blocks of 256 int8 activations with the codecs whose scales share a float per 256 inputs: few rows.
// Included after linear_bytes.inl.
//
// Within a block everything is an integer, scales included, so any order of any instructions gives the same bits;
// that is what lets matrix tiles (linear_block_tiles.inl) sum 256 inputs before anything is scaled.

namespace {

using minke::kernels::ActivationLine;
using minke::kernels::BlockTail;
using minke::kernels::kBlockLines;
using minke::kernels::kBlockQLines;

/// Activations of a task.
struct BlockRows {
  const ActivationLine* lines;
  std::size_t blocks;  ///< of a row
  std::size_t rows;    ///< LinearTask::line_rows

  /// The first line of block b of the 16 rows, or fewer, from `row` on.
  const ActivationLine* at(std::size_t row, std::size_t b) const { return lines + (b * rows + row) * kBlockLines; }
};

inline const BlockTail& tail_of(const ActivationLine* block, std::size_t row, std::size_t stride) {
  return *reinterpret_cast<const BlockTail*>(block + (kBlockQLines + 1) * stride + row);
}

/// A row's step of the sum over blocks.
template <typename C>
[[gnu::always_inline]] inline Simd::F add_block(const Scales<C>& scales, Simd::I products, Simd::F minima, float scale,
                                                Simd::F sum) {
  Simd::F scaled = Simd::mul(Simd::to_float(products), scales.d);
  if constexpr (C::kOffset) scaled = Simd::fma(minima, scales.m, scaled);
  return Simd::fma(scaled, Simd::set1(scale), sum);
}

/// The minima of a block as what two sums of 16 activations each are multiplied with: pair i of inputs 32 i ..
template <typename C>
struct MinimaPairs {
  Simd::I pair[kPartGroups];

  [[gnu::always_inline]] explicit MinimaPairs(const Scales<C>& scales) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPartGroups; ++i) {
      const Simd::I first = scales.minimum(i * C::kParts), second = scales.minimum((i + 1) * C::kParts - 1);
      pair[i] = Simd::add_int(first, Simd::template shift_left<16>(second));
    }
  }
  /// Sum over sub-groups of the minimum times the sum of activations.
  [[gnu::always_inline]] Simd::F sum(const BlockTail& tail) const {
    Simd::I total = Simd::set1_int(0);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPartGroups; ++i) {
      std::int32_t two;
      std::memcpy(&two, tail.sum + 2 * i, sizeof two);
      total = Simd::add_pair_products(total, pair[i], two);
    }
    return Simd::to_float(total);
  }
};
template <typename C>
  requires(!C::kOffset)
struct MinimaPairs<C> {
  explicit MinimaPairs(const Scales<C>&) {}
  Simd::F sum(const BlockTail&) const { return Simd::zero(); }
};

template <typename C>
struct MultiplyFewBlocks {
  const LinearTask& task;
  std::size_t tile;
  BlockRows x;
  std::size_t stride;

  /// Sum over the inputs of group g, scaled, of kRows rows.
  template <int kRows>
  [[gnu::always_inline]] void add_group_of(const Simd::B* w, const Scales<C>& scales, std::size_t g,
                                           const ActivationLine* block, std::size_t row, Simd::I* total) const {
#pragma GCC unroll 2
    for (int p = 0; p < C::kParts; ++p) {
      const std::size_t sub = g * C::kParts + static_cast<std::size_t>(p);
      const Simd::I scale = scales.integer(sub);
      Simd::I integer[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const BlockTail& tail = tail_of(block, row + static_cast<std::size_t>(r), stride);
        const std::int32_t sum = C::kParts == 2 ? tail.sum[sub] : tail.sum[2 * sub] + tail.sum[2 * sub + 1];
        integer[r] = Simd::set1_int(C::kZero == 0 ? 0 : -C::kZero * sum);
      }
      const auto* q = reinterpret_cast<const std::int8_t*>(block[g / 2 * stride + row].bytes) + g % 2 * 32;
      Simd::template dot_wide<kRows, C::kSteps, sizeof(ActivationLine)>(integer, w + p * C::kSteps,
                                                                        q + 4 * p * C::kSteps);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) total[r] = Simd::add_int(total[r], Simd::mul_int(integer[r], scale));
    }
  }

  template <int kRows>
  [[gnu::noinline]] void run(std::size_t row) const {
    static_assert(!Simd::kWideIsSigned);
    Simd::F sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = Simd::zero();
    for (std::size_t b = 0; b < x.blocks; ++b) {
      const TilePart<C> part(task, tile, b * kPartGroups);
      const Scales<C> scales(part.scales);
      const ActivationLine* block = x.at(0, b);
      Simd::I total[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) total[r] = Simd::set1_int(0);
      for (std::size_t g = 0; g < kPartGroups; ++g) {
        Simd::B w[8];
        fetch_ahead<C>(part, g, task.fetch_ahead);
        decode_group_of<C>(part, g, w);
        add_group_of<kRows>(w, scales, g, block, row, total);
      }
      const MinimaPairs<C> minima(scales);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const BlockTail& tail = tail_of(block, row + static_cast<std::size_t>(r), stride);
        sum[r] = add_block<C>(scales, total[r], minima.sum(tail), tail.scale, sum[r]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) store_output(task, tile, row + static_cast<std::size_t>(r), sum[r]);
  }
};

/// Rows of one run at most.
constexpr int kFewBlockRows = 8;

/// task.rows <= kActivationRows.
template <typename C>
void few_rows_of_blocks(const LinearTask& task) {
  const BlockRows x{task.lines, task.cols / minke::kernels::kActivationBlock, task.line_rows};
  for (std::size_t tile = 0; tile < task.tile_count; ++tile)
    in_runs<kFewBlockRows>(task.rows, MultiplyFewBlocks<C>{task, tile, x, task.rows});
}

}  // namespace
