// Products of int8 activations with packed tiles. Included by the isa_*.cc after tile.inl.

namespace {

/// What the integer product has to know of a codec; several codecs share one.
template <bool kIsWide, int kMaxInteger, int kZeroPoint, int kGroupParts, bool kHasOffset>
struct Shape {
  static constexpr bool kWide = kIsWide, kOffset = kHasOffset;
  static constexpr int kMax = kMaxInteger, kZero = kZeroPoint, kParts = kGroupParts, kSteps = 8 / kGroupParts;
};
template <typename C>
using ShapeOf = Shape<C::kWide, C::kMax, C::kZero, C::kParts, C::kOffset>;

/// Of kRows rows, sum_k (w[k] - zero) x[k] of one sub-group, exact in int32.
template <typename S, int kRows>
[[gnu::always_inline]] inline void dot(const Simd::B* w, const ActivationGroup* x, int part, Simd::I* integer) {
  constexpr bool kShifted = S::kZero != 0 && !(S::kWide && Simd::kWideIsSigned);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const std::int32_t minus = S::kParts == 1 ? x[r].minus_sum : x[r].minus_half_sum[part];
    integer[r] = kShifted ? Simd::template shift_left<log2_of(S::kZero)>(Simd::set1_int(minus)) : Simd::set1_int(0);
  }
  const std::int8_t* q = x->q + 4 * part * S::kSteps;
  if constexpr (S::kWide) {
    static_assert(S::kZero == 128);
    Simd::template dot_wide<kRows, S::kSteps, sizeof(ActivationGroup)>(integer, w + part * S::kSteps, q);
  } else {
    Simd::template dot_narrow<kRows, S::kSteps, sizeof(ActivationGroup), S::kMax>(integer, w + part * S::kSteps, q);
  }
}

/// kRows rows' step of the sum over groups of 32. The scales of activations meet the sum over both halves, so that
/// codecs with a scale per 16 inputs pay one multiplication more, not two: conversions and integer additions are
/// free beside the products (other ports), multiplications are not.
template <typename S, int kRows, typename ScaleOf, typename OffsetOf>
[[gnu::always_inline]] inline void add_group(const Simd::B* w, const ActivationGroup* x, const ScaleOf& scale_of,
                                             const OffsetOf& offset_of, Simd::F* sum) {
  constexpr int kMost = S::kWide ? Simd::kWideRows : Simd::kNarrowRows, kAtOnce = kRows < kMost ? kRows : kMost;
  Simd::F scale[S::kParts], offset[S::kParts];
#pragma GCC unroll 2
  for (int p = 0; p < S::kParts; ++p) scale[p] = scale_of(p), offset[p] = offset_of(p);
#pragma GCC unroll 16
  for (int first = 0; first < kRows; first += kAtOnce) {
    Simd::F scaled[kAtOnce];
#pragma GCC unroll 2
    for (int p = 0; p < S::kParts; ++p) {
      Simd::I integer[kAtOnce];
      dot<S, kAtOnce>(w, x + first, p, integer);
#pragma GCC unroll 8
      for (int r = 0; r < kAtOnce; ++r) {
        const Simd::F value = Simd::to_float(integer[r]);
        scaled[r] = p == 0 ? Simd::mul(value, scale[p]) : Simd::fma(value, scale[p], scaled[r]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kAtOnce; ++r) {
      const ActivationGroup& group = x[first + r];
      Simd::F& to = sum[first + r];
      to = Simd::fma(scaled[r], Simd::set1(group.scale), to);
      if constexpr (S::kOffset) {
#pragma GCC unroll 2
        for (int p = 0; p < S::kParts; ++p)
          to = Simd::fma(Simd::set1(S::kParts == 1 ? group.sum : group.half_sum[p]), offset[p], to);
      }
    }
  }
}

/// Up to this many rows a tile is decoded anew for each run of them: a run costs little more than its share of
/// reading, and nothing is written but outputs.
constexpr std::size_t kFewRows = 16;
static_assert(kFewRows <= minke::kernels::kActivationRows);

/// A few rows, the tile decoded in registers; group g of row r lies at x[g * stride + r].
template <typename C>
struct MultiplyFew {
  const LinearTask& task;
  std::size_t tile;
  const ActivationGroup* x;
  std::size_t stride;

  template <int kRows>
  [[gnu::noinline]] void run(std::size_t row) const {
    using S = ShapeOf<C>;
    Simd::F sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = Simd::zero();
    const ActivationGroup* rows = x + row;
    for (std::size_t first = 0; first < task.cols / 32; first += kPartGroups) {
      const TilePart<C> part(task, tile, first);
      const PartScales<C> scales(part.scales, part.groups);
      for (std::size_t g = 0; g < part.groups; ++g, rows += stride) {
        Simd::B w[8];
        fetch_ahead<C>(part, g, task.fetch_ahead);
        decode_group_of<C>(part, g, w);
        add_group<S, kRows>(
            w, rows, [&](int p) { return scales.scale(g * C::kParts + static_cast<std::size_t>(p)); },
            [&](int p) { return scales.offset(g * C::kParts + static_cast<std::size_t>(p)); }, sum);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) store_output(task, tile, row + static_cast<std::size_t>(r), sum[r]);
  }
};

/// kSumInputs of a tile, ready to multiply.
struct DecodedBytes {
  Simd::B w[kSumInputs / 32][8];
  Simd::F scale[kSumInputs / 16], offset[kSumInputs / 16];
};

template <typename C>
void decode_bytes(const TilePart<C>& part, DecodedBytes& out) {
  const PartScales<C> scales(part.scales, part.groups);
  for (std::size_t g = 0; g < part.groups; ++g) decode_group_of<C>(part, g, out.w[g]);
  for (std::size_t i = 0; i < part.groups * C::kParts; ++i) {
    out.scale[i] = scales.scale(i);
    out.offset[i] = scales.offset(i);
  }
}

/// Adds a decoded block to the sums of rows; row r's group g lies at x[g * stride + r].
template <typename S>
struct MultiplyBytes {
  const DecodedBytes& w;
  std::size_t groups;
  const ActivationGroup* x;
  std::size_t stride;
  float (*sums)[16];

  template <int kRows>
  [[gnu::noinline]] void run(std::size_t row) const {
    Simd::F sum[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sum[r] = Simd::load(sums[row + static_cast<std::size_t>(r)]);
    const ActivationGroup* rows = x + row;
    for (std::size_t g = 0; g < groups; ++g, rows += stride) {
      add_group<S, kRows>(
          w.w[g], rows, [&](int p) { return w.scale[g * S::kParts + static_cast<std::size_t>(p)]; },
          [&](int p) { return w.offset[g * S::kParts + static_cast<std::size_t>(p)]; }, sum);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) Simd::store(sums[row + static_cast<std::size_t>(r)], sum[r]);
  }
};

/// A chunk of rows (from `row` on) times one tile.
template <typename C>
void multiply_chunk(const LinearTask& task, std::size_t tile, std::size_t row, std::size_t rows) {
  constexpr std::size_t kBlock = minke::kernels::kActivationRows;
  const std::size_t groups = task.cols / 32;
  ChunkSums sums;
  std::memset(&sums, 0, rows * sizeof sums.v[0]);
  DecodedBytes decoded;
  for (std::size_t first = 0; first < groups; first += kPartGroups) {
    const TilePart<C> part(task, tile, first);
    decode_bytes<C>(part, decoded);
    for (std::size_t r = 0; r < rows; r += kBlock) {
      const std::size_t stride = rows - r < kBlock ? rows - r : kBlock;
      const ActivationGroup* x = task.groups + (row + r) * groups + first * stride;
      in_runs<Simd::kByteRows>(stride, MultiplyBytes<ShapeOf<C>>{decoded, part.groups, x, stride, sums.v + r});
    }
  }
  for (std::size_t r = 0; r < rows; ++r) store_output(task, tile, row + r, Simd::load(sums.v[r]));
}

template <DType kType>
void linear_bytes_of(const LinearTask& task) {
  using C = Codec<kType>;
  for (std::size_t tile = 0; tile < task.tile_count; ++tile) {
    // Looking codes up is worth doing once for all rows.
    if (task.rows <= (C::kGrid ? std::size_t{Simd::kFewRows} : kFewRows)) {
      in_runs<Simd::kFewRows>(task.rows, MultiplyFew<C>{task, tile, task.groups, task.rows});
      continue;
    }
    for (std::size_t row = 0; row < task.rows; row += kChunkRows)
      multiply_chunk<C>(task, tile, row, task.rows - row < kChunkRows ? task.rows - row : kChunkRows);
  }
}

}  // namespace
