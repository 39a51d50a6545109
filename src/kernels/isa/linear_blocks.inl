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
  static constexpr std::size_t kSubGroups = kPartGroups * C::kParts;
  Simd::F unit;                                    ///< a byte's step, per output
  Simd::I factor[kSubGroups], addend[kSubGroups];  ///< in both halves of each output's lane

  [[gnu::always_inline]] explicit ByteScales(const TilePart<C>& part) {
    const Scales<C> scales(part.scales);
    Simd::F scale[kSubGroups], minimum[kSubGroups], peak = Simd::set1(minke::kernels::kSmallestPeak);
    const Simd::F reach = Simd::mul(scales.d, Simd::set1(kReach));
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSubGroups; ++i) {
      scale[i] = Simd::to_float(scales.integer(i));
      if constexpr (C::kOffset) {
        minimum[i] = Simd::to_float(scales.minimum(i));
        const Simd::F low = Simd::mul(scales.m, minimum[i]);
        peak = Simd::max_magnitude(Simd::max_magnitude(peak, low), Simd::fma(reach, scale[i], low));
      } else {
        peak = Simd::max_magnitude(peak, scale[i]);
      }
    }
    if constexpr (!C::kOffset)
      peak = Simd::max_magnitude(Simd::mul(reach, peak), Simd::set1(minke::kernels::kSmallestPeak));
    const Simd::F inverse = Simd::div(Simd::set1(minke::kernels::kBytePeak), peak);
    // What is not finite stays so: packing refuses it, but a tiled file may hold any bits.
    unit = Simd::fma(scales.d, Simd::zero(), Simd::mul(peak, Simd::set1(1.0F / 127)));
    if constexpr (C::kOffset) unit = Simd::fma(scales.m, Simd::zero(), unit);
    const Simd::F d = Simd::mul(scales.d, inverse);
    const Simd::I half = Simd::set1_int(static_cast<std::int32_t>((kShift * 256U + 128U) * 0x10001U));
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSubGroups; ++i) {
      factor[i] = Simd::twice_low(Simd::round_to_int(Simd::mul(scale[i], d)));
      addend[i] = half;
      if constexpr (C::kOffset) {
        const Simd::F low = Simd::mul(minimum[i], Simd::mul(scales.m, inverse));
        addend[i] = Simd::add_halves(half, Simd::twice_low(Simd::round_to_int(low)));
      }
      if constexpr (C::kZero != 0)
        addend[i] = Simd::sub_halves(addend[i], Simd::template shift_halves<log2_of(C::kZero)>(factor[i]));
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

  /// All of the task's rows, kRows at most. Missing ones are read as if they were there and not written.
  template <int kRows>
  [[gnu::noinline]] void run() const {
    static_assert(!Simd::kWideIsSigned);
    Simd::F sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = Simd::zero();
    for (std::size_t b = 0; b < task.cols / kBlockInputs; ++b) {
      const TilePart<C> part(task, tile, b * kPartGroups);
      const ByteScales<C, 128> scales(part);
      const ActivationLine* block = x.at(0, b);
      Simd::I total[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) total[r] = Simd::set1_int(x.tail(static_cast<std::size_t>(r), b).minus_128_sum);
      for (std::size_t g = 0; g < kPartGroups; ++g) {
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
        sum[r] = Simd::fma(scaled, Simd::set1(x.tail(static_cast<std::size_t>(r), b).scale), sum[r]);
      }
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r)
      if (r < task.rows) store_output(task, tile, r, sum[r]);
  }
};

/// The most rows: decoding once for 8 takes less time than twice for 4 and 2.
constexpr std::size_t kFewBlockRows = 8;

/// task.rows <= kFewBlockRows.
template <typename C>
void few_rows_of_blocks(const LinearTask& task) {
  const BlockRows x{task.lines, task.tails, task.line_rows};
  for (std::size_t tile = 0; tile < task.tile_count; ++tile) {
    const MultiplyFewBlocks<C> multiply{task, tile, x, task.rows};
    if (task.rows > 4) {
      multiply.template run<8>();
    } else if (task.rows > 2) {
      multiply.template run<4>();
    } else if (task.rows == 2) {
      multiply.template run<2>();
    } else {
      multiply.template run<1>();
    }
  }
}

}  // namespace
