// What an instruction set provides: one struct of functions, one constant of it per isa/isa_*.cc.
//
// The isa_*.cc may emit no symbol but their table (tests/script/check_isa_symbols.sh), so what they include
// must hold no inline function that they call: arguments are plain structs without members, and layouts
// (KvLayout, ...) are passed as numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/dtype.h"
#include "kernels/row_kernels.h"

namespace minke::kernels {

/// 32 activations of one row in `fast`: x[i] ~ scale * q[i], one cache line.
struct alignas(64) ActivationGroup {
  std::int8_t q[32];  ///< -127..127
  float scale;        ///< max |x| / 127; NaN when an x is not finite
  float sum;          ///< scale * (sum of q)
  float half_sum[2];  ///< scale * (sum of q[0..15]), scale * (sum of q[16..31])
  std::int32_t minus_sum;
  std::int32_t minus_half_sum[2];
  std::int32_t unused;
};
static_assert(sizeof(ActivationGroup) == 64);

/// Below this, 127 / max |x| would overflow or lose precision; such activations count as zeros.
inline constexpr float kSmallestMax = 0x1p-96F;

/// Rows are interleaved by this many: group g of rows 16 b .. 16 b + n - 1 (n = 16, fewer in the last block)
/// lies at ((16 b * groups) + g * n), so that a product over a block of rows reads memory in order.
inline constexpr std::size_t kActivationRows = 16;

/// 256 activations of one row in `fast`, where a table has linear_blocks: x[i] ~ scale * q[i], q in four lines. Line l
/// of rows 16 i .. 16 i + n - 1 (n = 16, fewer in the last) lies at l * n + row; those of other rows follow, then the
/// next 256 activations.
struct alignas(64) ActivationLine {
  std::byte bytes[64];
};
inline constexpr std::size_t kActivationBlock = 256, kBlockLines = 4;
/// Where a table has linear_halves, likewise 256 activations in BF16 in eight lines; behind the last input zeros to the
/// end of its line.
inline constexpr std::size_t kHalfLines = 8;

/// What is one for all 256.
struct BlockTail {
  float scale;                 ///< max |x| / 127; NaN when an x is not finite
  std::int32_t minus_128_sum;  ///< -128 * sum of q
};

/// Weights of a block of 256 as bytes of one scale: the largest is to be 127 steps, a step 256 units.
inline constexpr float kBytePeak = 127 * 256;
/// What counts as the largest where all are smaller.
inline constexpr float kSmallestPeak = 0x1p-80F;

/// Some tiles of a packed matrix (codec.h has their layout) and the outputs they give.
struct LinearTask {
  const std::uint8_t* tiles = nullptr;  ///< the first tile of this task
  std::size_t tile_bytes = 0;
  std::size_t tile_count = 0;
  std::size_t outputs = 0;  ///< of these tiles: 16 each, the last may have fewer
  std::size_t cols = 0;     ///< inputs
  formats::DType dtype = formats::DType::f32;
  std::size_t rows = 0;         ///< of activations
  const float* bias = nullptr;  ///< [outputs] or null
  float* y = nullptr;           ///< [rows][ldy], output 0 of the first tile
  std::size_t ldy = 0;
  const float* x = nullptr;  ///< linear_float: [rows][ldx]
  std::size_t ldx = 0;
  const ActivationGroup* groups = nullptr;  ///< linear_bytes: [rows / 16][cols / 32][16]
  const ActivationLine* lines = nullptr;    ///< linear_blocks: [cols / 256][line_rows / 16][4][16], at the first row
  const BlockTail* tails = nullptr;         ///< [cols / 256][line_rows], at the first row
  std::size_t line_rows = 0;                ///< rows of which these are some
  const ActivationLine* halves = nullptr;   ///< linear_halves: as lines, kHalfLines of each 256 or fewer inputs
  std::size_t fetch_ahead = 0;              ///< KernelTable::fetch_ahead
};

struct KernelTable {
  const char* name;
  /// Bytes ahead that few rows' products ask for weights, or 0. A matter of processors: Intel's (Granite Rapids class)
  /// read 12.1 to 14.1 GB/s by themselves on one thread, 15.2 to 16.6 of 18.8 when asked 2 KiB ahead (1 KiB: 3 % less,
  /// 4 KiB: 35 %); AMD's (Zen 4) 30 GB/s by themselves, 22 to 27 when asked.
  std::size_t fetch_ahead = 0;

  // linear_float.inl, linear_bytes.inl, quantize.inl
  /// fp32 activations, any dtype. Per output: in each block of 256 inputs acc = fma(x[k], w[k], acc) with k
  /// ascending from acc = 0; the blocks' sums added in ascending order; then the bias.
  void (*linear_float)(const LinearTask& task) noexcept;
  /// int8 activations, quantised dtypes. Per output and group of 32 inputs, ascending: t = float(integer dot) *
  /// w scale; where the codec has two scales in a group, that of the first 16 inputs, then t = fma(float(integer
  /// dot of the others), their w scale, t). acc = fma(t, x scale, acc). Where the codec has offsets, then
  /// acc = fma(x sum, w offset, acc) per scale. Then the bias.
  void (*linear_bytes)(const LinearTask& task) noexcept;
  /// One row of `cols` values, padded with zeros to whole groups; group g is written at out[g * stride].
  void (*quantize_row)(const float* x, std::size_t cols, ActivationGroup* out, std::size_t stride) noexcept;

  // linear_blocks.inl, quantize_blocks.inl; null where the others are the faster ones.
  /// As linear_bytes for types with has_integer_blocks(). An output's weights of a block of 256 inputs become bytes: of
  /// integer scales s and minima m of sub-groups, low = -dmin * m, peak = the greatest of |low|, |fma(d * R, s, low)|
  /// and kSmallestPeak, R the greatest |q| of the type (codec.h: extent), u = kBytePeak / peak; byte = (q * round(s *
  /// (d * u)) + round(m * (-dmin * u)) + 128) >> 8. Then, in ascending order, acc = fma(float(sum of byte * x's q) *
  /// (peak * (1 / 127)), x scale, acc). Then the bias.
  void (*linear_blocks)(const LinearTask& task) noexcept = nullptr;
  /// 256 values of one row; line l is written at out[l * stride].
  void (*quantize_block)(const float* x, ActivationLine* out, std::size_t stride, BlockTail* tail) noexcept = nullptr;

  // linear_half_tiles.inl, linear_f8_tiles.inl; null where the others are the faster ones.
  /// For types with multiplies_as_halves(): activations are rounded to BF16, subnormals to zero. Per output, from 0,
  /// for each 32 inputs in ascending order (behind the last, zeros): acc += even + odd, each of which is t = fma(x, w,
  /// t) from 0 over the even or odd ones of them in ascending order; what is subnormal is zero throughout. FP8 weights
  /// enter without their scales, acc of each 128 inputs from 0; then total = fma(acc, scale, total). Then the bias.
  void (*linear_halves)(const LinearTask& task) noexcept = nullptr;
  /// `cols` values of one row, a block's at most; the line of inputs 32 i is written at out[i * stride].
  void (*round_halves)(const float* x, std::size_t cols, ActivationLine* out, std::size_t stride) noexcept = nullptr;

  // elementwise.inl, attention.inl
  RowKernels rows;

  /// attention_tiles.inl: as rows.attention over KvType::bf16, with queries and weights rounded to BF16, too; null
  /// where vectors are the faster ones.
  void (*attention_bf16)(const AttentionTask& task) noexcept = nullptr;
};

/// What matrix tiles replace in the table of the vectors beside them.
struct TilesTable {
  const char* name;
  void (*linear_bytes)(const LinearTask& task) noexcept;
  void (*linear_blocks)(const LinearTask& task) noexcept;
  void (*quantize_block)(const float* x, ActivationLine* out, std::size_t stride, BlockTail* tail) noexcept;
  void (*linear_halves)(const LinearTask& task) noexcept;
  void (*round_halves)(const float* x, std::size_t cols, ActivationLine* out, std::size_t stride) noexcept;
  void (*attention_bf16)(const AttentionTask& task) noexcept;
};

extern const KernelTable kScalarTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx512Table;
extern const TilesTable kAmxTable;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
extern const KernelTable kNeonDotprodTable;
extern const KernelTable kNeonI8mmTable;
#endif

}  // namespace minke::kernels
