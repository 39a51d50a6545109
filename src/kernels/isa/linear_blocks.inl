// Products of blocks of 256 int8 activations with the codecs whose scales share a float per 256 inputs: few rows.
// Included after linear_bytes.inl.
//
// A block's 256 weights become bytes of one scale: each sub-group's scale and offset as 16-bit integers in units of a
// 256th of a byte's step, the sum rounded. A sum over the block is then one integer, by any order of any instructions,
// which is what lets matrix tiles (linear_block_tiles.inl) sum 256 inputs before anything is scaled.

namespace {

using minke::kernels::ActivationLine;
using minke::kernels::BlockTail;
using minke::kernels::kBlockLines;

/// Activations of a task.
struct BlockRows {
  const ActivationLine* lines;
  const BlockTail* tails;
  std::size_t rows;  ///< LinearTask::line_rows

  /// The first line of block b of the 16 rows, or fewer, from `row` on.
  const ActivationLine* at(std::size_t row, std::size_t b) const { return lines + (b * rows + row) * kBlockLines; }
  const BlockTail& tail(std::size_t row, std::size_t b) const { return tails[b * rows + row]; }
};

constexpr std::size_t kBlockInputs = minke::kernels::kActivationBlock;

/// The byte of an integer q of sub-group i, plus kShift: (q * factor[i] + addend[i]) >> 8, in 16 bits that wrap.
template <typename C, unsigned kShift>
struct ByteScales {
  static constexpr std::size_t kMost = kPartGroups * C::kParts;
  Simd::F unit;                            ///< a byte's step, per output
  Simd::I factor[kMost], addend[kMost];  ///< in both halves of each output's lane

  [[gnu::always_inline]] explicit ByteScales(const TilePart<C>& part) {
    const PartScales<C> scales(part.scales, part.groups);
    if (part.groups == kPartGroups) {
      fill(scales, kMost);
    } else {
      fill(scales, part.groups * C::kParts);
    }
  }

  /// Eight steps of group g, in place.
  [[gnu::always_inline]] void apply(std::size_t g, Simd::B* w) const {
#pragma GCC unroll 8
    for (std::size_t s = 0; s < 8; ++s) {
      const std::size_t i = g * C::kParts + s / C::kSteps;
      w[s] = Simd::scaled_bytes(w[s], factor[i], addend[i]);
    }
  }

 private:
  [[gnu::always_inline]] void fill(const PartScales<C>& scales, std::size_t count) {
    const Simd::I magnitude = Simd::set1_int(0x7fffffff);
    // As bits, which order like the values, with NaN above infinity: what is not finite stays the largest.
    Simd::I most = Simd::as_int(Simd::set1(minke::kernels::kSmallestPeak));
    const auto reach = [&](Simd::F x) { most = Simd::max_int(most, Simd::and_int(Simd::as_int(x), magnitude)); };
    Simd::F scale[kMost], offset[kMost];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < count; ++i) {
      scale[i] = scales.scale(i);
      if constexpr (!C::kOffset) {
        reach(Simd::mul(scale[i], Simd::set1(kReach)));
      } else {
        static_assert(C::kExtent.least == 0);
        offset[i] = scales.offset(i);
        reach(offset[i]);
        reach(Simd::fma(scale[i], Simd::set1(kReach), offset[i]));
      }
    }
    unit = Simd::mul(Simd::as_float(most), Simd::set1(1.0F / 127));
    const Simd::F inverse = Simd::div(Simd::set1(minke::kernels::kBytePeak), Simd::as_float(most));
    const Simd::I half = Simd::set1_int(static_cast<std::int32_t>((kShift * 256U + 128U) * 0x10001U));
#pragma GCC unroll 16
    for (std::size_t i = 0; i < count; ++i) {
      factor[i] = Simd::twice_low(Simd::round_to_int(Simd::mul(scale[i], inverse)));
      addend[i] = half;
      if constexpr (C::kOffset)
        addend[i] = Simd::add_halves(half, Simd::twice_low(Simd::round_to_int(Simd::mul(offset[i], inverse))));
      if constexpr (C::kZero != 0)
        addend[i] = Simd::sub_halves(addend[i], Simd::template shift_halves<log2_of(C::kZero)>(factor[i]));
    }
  }
  /// The integers' largest magnitude.
  static constexpr float kReach =
      static_cast<float>(C::kExtent.most > -C::kExtent.least ? C::kExtent.most : -C::kExtent.least);
};

template <typename C>
struct MultiplyFewBlocks {
  const LinearTask& task;
  std::size_t tile;
  BlockRows x;
  std::size_t stride;

  template <int kRows>
  [[gnu::noinline]] void run(std::size_t row) const {
    static_assert(!Simd::kWideIsSigned);
    Simd::F sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = Simd::zero();
    for (std::size_t b = 0; b < (task.cols + kBlockInputs - 1) / kBlockInputs; ++b) {
      const TilePart<C> part(task, tile, b * kPartGroups);
      const ByteScales<C, 128> scales(part);
      const ActivationLine* block = x.at(0, b) + row;
      Simd::I total[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r)
        total[r] = Simd::set1_int(x.tail(row + static_cast<std::size_t>(r), b).minus_128_sum);
      for (std::size_t g = 0; g < part.groups; ++g) {
        Simd::B w[8];
        fetch_ahead<C>(part, g, task.fetch_ahead);
        decode_group_of<C>(part, g, w);
        scales.apply(g, w);
        const auto* q = reinterpret_cast<const std::int8_t*>(block[g / 2 * stride].bytes) + g % 2 * 32;
        Simd::template dot_wide<kRows, 8, sizeof(ActivationLine)>(total, w, q);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Simd::F scaled = Simd::mul(Simd::to_float(total[r]), scales.unit);
        sum[r] = Simd::fma(scaled, Simd::set1(x.tail(row + static_cast<std::size_t>(r), b).scale), sum[r]);
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
  const BlockRows x{task.lines, task.tails, task.line_rows};
  for (std::size_t tile = 0; tile < task.tile_count; ++tile)
    in_runs<kFewBlockRows>(task.rows, MultiplyFewBlocks<C>{task, tile, x, task.rows});
}

}  // namespace
