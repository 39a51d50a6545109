// How each weight type is packed. A matrix is cut into tiles of 16 outputs by all inputs, a tile into parts of 256
// inputs (the last may have fewer); a part is
//
//   the scales     per block of inputs, 16 outputs side by side (ScaleForm)
//   zeros          to a multiple of 64 bytes
//   the integers   per 32 inputs: `low` plane, then `high` plane (below)
//
// so that a matrix is read front to back as one stream: on Zen 4 one thread draws 30 GB/s from one stream and 20
// from two that lie a tile's integers apart. Unpacked, 32 inputs are eight steps of 64 bytes
// [16 outputs][4 inputs], what VNNI, maddubs, sdot and AMX all multiply. Planes hold them at the file's width:
//
//   8 bits   512 bytes: step s at 64 s
//   4 bits   256 bytes: byte i of step s is a nibble of byte i of 64 (s mod 4): the low one for s < 4
//   2 bits   128 bytes: byte i of step s is bits 2 (s / 2) .. of byte i of 64 (s mod 2)
//   1 bit     64 bytes: bit s of byte i
//
// The low plane holds a value's low bits, the high plane (Q5: 1 bit, Q6_K: 2, Q3_K: 1) those above.
// IQ1, IQ2 and IQ3 hold indices into a table of rows of 8 (IQ3: 4) magnitudes. Their low plane is the lowest 8 bits
// of the indices, [32 / 8][16 outputs] bytes (IQ3: [32 / 4]), their high plane the signs at 1 bit; the indices' other
// bits are with the scales (GridSpec). Decoded, such a weight is a code of 4 bits: 3 of magnitude, above them the sign.
// FP8 (E4M3) with scales per block of inputs: [inputs][16 outputs] bytes, then fp32 scales [blocks][16 outputs].
// Plain types: F32 is [inputs][16 outputs], F16 and BF16 are [inputs / 2][16 outputs][2 inputs], the last
// pair padded with zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/dtype.h"

namespace minke::kernels {

inline constexpr std::size_t kTileOutputs = 16;
inline constexpr std::size_t kTileAlign = 64;
inline constexpr std::size_t kGroupInputs = 32;
inline constexpr std::size_t kGroupSteps = 8;

/// The scales of one block; halves are IEEE fp16 bits, [n] runs over sub-groups, [16] over outputs.
enum class ScaleForm : std::uint8_t {
  half,          ///< d[16]: Q4_0, Q5_0, Q8_0, IQ4_NL
  half_min,      ///< d[16], m[16], value = d q + m: Q4_1, Q5_1
  six_bit_min,   ///< d[16], dmin[16], six bits of (scale, min)[8][16], value = d s q - dmin m: Q4_K, Q5_K
  four_bit_min,  ///< d[16], dmin[16], [16][16] bytes scale | min << 4: Q2_K
  six_bit,       ///< d[16], six bits of (scale + 32)[16][16]: Q3_K
  byte,          ///< d[16], int8 scale[block / group][16]: Q6_K, IQ4_XS
  odd_nibble,    ///< d[16], nibbles s[block / group / 2][16], even sub-groups low; value = d unit (2 s + 1) q: IQ1_M,
                 ///< IQ2, IQ3
  odd_word,      ///< d[16], s in bits 12-14 of the words of indices: IQ1_S
  exponent,      ///< e[16] bytes, value = 2^(e - 128) q: MXFP4
};

/// Six bits of a[8][16] and b[8][16] take 192 bytes: 128 of low nibbles (a | b << 4), [8][16]; then 64 of the
/// high pairs, [4][16]: a[i], b[i], a[i + 4], b[i + 4] from the lowest bits up. For six_bit, a is sub-groups
/// 0-7 and b 8-15.
inline constexpr std::size_t kSixBitBytes = 192;

/// What a code stands for.
enum class Codebook : std::uint8_t { none, iq4, e2m1, iq1, iq2, iq3_xxs, iq3_s };

/// Sixteen integers, plus 128.
struct CodebookTable {
  std::uint8_t v[16];
};
/// Of eight magnitudes, then their negatives.
constexpr CodebookTable mirrored(const int (&magnitudes)[8]) {
  CodebookTable table{};
  for (int i = 0; i < 8; ++i) {
    table.v[i] = static_cast<std::uint8_t>(128 + magnitudes[i]);
    table.v[i + 8] = static_cast<std::uint8_t>(128 - magnitudes[i]);
  }
  return table;
}

/// By Codebook. Zeros stand where no file has a code.
inline constexpr CodebookTable kCodebooks[] = {
    {},
    // ggml's 4-bit non-linear codebook.
    {{1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241}},
    // Twice the values of E2M1 (OCP Microscaling Formats, 5.3.3).
    mirrored({0, 1, 2, 3, 4, 6, 8, 12}),
    // Eight times -1, 0, 1 with a shift of +1/8 or, with bit 3, -1/8.
    {{121, 129, 137, 128, 128, 128, 128, 128, 119, 127, 135, 128, 128, 128, 128, 128}},
    mirrored({8, 25, 43, 0, 0, 0, 0, 0}),
    mirrored({4, 12, 20, 28, 36, 44, 52, 62}),
    mirrored({1, 3, 5, 7, 9, 11, 13, 15}),
};

/// Which table (codec_grids.h) a type's indices are of.
enum class Grid : std::uint8_t { none, iq1, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s };

/// The bits of indices above the lowest 8, in words of 32 inputs: index j's at bit high_step * j. The words are the
/// last 16 * word_bits bytes of a block's scales: of 4 bits [4][16] (even groups low), of 8 bits [8][16], of 16 bits
/// [8][2][16] (low bytes, high bytes). IQ1 has there also which shift holds: IQ1_S in bit 15, IQ1_M in bits 4 j + 3.
struct GridSpec {
  Grid table = Grid::none;
  int high_bits = 0;  ///< of an index
  int high_step = 0;
  int word_bits = 0;  ///< 0, 4, 8 or 16
};

struct CodecSpec {
  formats::DType dtype;
  ScaleForm scales;
  Codebook codebook;  ///< of integers that are codes
  int block;          ///< inputs that share `d`
  int group;          ///< inputs that share a scale: 32 or 16
  int low_bits;       ///< 8, 4 or 2; of indices per input: 1 or 2
  int high_bits;      ///< 0, 1 or 2
  int zero;           ///< value = scale * (unsigned integer - zero) + offset
  int scale_bytes;    ///< per block
  float unit = 1;     ///< of scales (ScaleForm), a power of two
  GridSpec grid = {};
};

inline constexpr CodecSpec kCodecs[] = {
    {formats::DType::q4_0, ScaleForm::half, Codebook::none, 32, 32, 4, 0, 8, 32},
    {formats::DType::q4_1, ScaleForm::half_min, Codebook::none, 32, 32, 4, 0, 0, 64},
    {formats::DType::q5_0, ScaleForm::half, Codebook::none, 32, 32, 4, 1, 16, 32},
    {formats::DType::q5_1, ScaleForm::half_min, Codebook::none, 32, 32, 4, 1, 0, 64},
    {formats::DType::q8_0, ScaleForm::half, Codebook::none, 32, 32, 8, 0, 128, 32},
    {formats::DType::q2_k, ScaleForm::four_bit_min, Codebook::none, 256, 16, 2, 0, 0, 64 + 256},
    {formats::DType::q3_k, ScaleForm::six_bit, Codebook::none, 256, 16, 2, 1, 4, 32 + kSixBitBytes},
    {formats::DType::q4_k, ScaleForm::six_bit_min, Codebook::none, 256, 32, 4, 0, 0, 64 + kSixBitBytes},
    {formats::DType::q5_k, ScaleForm::six_bit_min, Codebook::none, 256, 32, 4, 1, 0, 64 + kSixBitBytes},
    {formats::DType::q6_k, ScaleForm::byte, Codebook::none, 256, 16, 4, 2, 32, 32 + 256},
    {formats::DType::iq4_nl, ScaleForm::half, Codebook::iq4, 32, 32, 4, 0, 128, 32},
    {formats::DType::iq4_xs, ScaleForm::byte, Codebook::iq4, 256, 32, 4, 0, 128, 32 + 128},
    {formats::DType::iq1_s,
     ScaleForm::odd_word,
     Codebook::iq1,
     256,
     32,
     1,
     0,
     128,
     32 + 256,
     0.125F,
     {Grid::iq1, 3, 3, 16}},
    {formats::DType::iq1_m,
     ScaleForm::odd_nibble,
     Codebook::iq1,
     256,
     16,
     1,
     0,
     128,
     32 + 128 + 256,
     0.125F,
     {Grid::iq1, 3, 4, 16}},
    {formats::DType::iq2_xxs,
     ScaleForm::odd_nibble,
     Codebook::iq2,
     256,
     32,
     1,
     1,
     128,
     32 + 64,
     0.125F,
     {Grid::iq2_xxs, 0, 0, 0}},
    {formats::DType::iq2_xs,
     ScaleForm::odd_nibble,
     Codebook::iq2,
     256,
     16,
     1,
     1,
     128,
     32 + 128 + 64,
     0.125F,
     {Grid::iq2_xs, 1, 1, 4}},
    {formats::DType::iq2_s,
     ScaleForm::odd_nibble,
     Codebook::iq2,
     256,
     16,
     1,
     1,
     128,
     32 + 128 + 128,
     0.125F,
     {Grid::iq2_s, 2, 2, 8}},
    {formats::DType::iq3_xxs,
     ScaleForm::odd_nibble,
     Codebook::iq3_xxs,
     256,
     32,
     2,
     1,
     128,
     32 + 64,
     0.25F,
     {Grid::iq3_xxs, 0, 0, 0}},
    {formats::DType::iq3_s,
     ScaleForm::odd_nibble,
     Codebook::iq3_s,
     256,
     32,
     2,
     1,
     128,
     32 + 64 + 128,
     1,
     {Grid::iq3_s, 1, 1, 8}},
    {formats::DType::mxfp4, ScaleForm::exponent, Codebook::e2m1, 32, 32, 4, 0, 128, 16},
};

/// Whether 256 inputs share one float, the rest of their scales being integers.
constexpr bool has_integer_blocks(const CodecSpec& spec) { return spec.block == 256; }

/// Whether matrix tiles multiply a type in BF16.
constexpr bool multiplies_as_halves(formats::DType dtype) {
  return dtype == formats::DType::bf16 || dtype == formats::DType::f8_e4m3;
}

/// What a stored integer (or code) multiplies its scale by.
constexpr int code_value(const CodecSpec& spec, std::uint8_t q) {
  return (spec.codebook == Codebook::none ? q : kCodebooks[static_cast<std::size_t>(spec.codebook)].v[q]) - spec.zero;
}

/// The least and the greatest of code_value().
struct Extent {
  int least, most;
};
constexpr Extent extent(const CodecSpec& spec) {
  Extent of{code_value(spec, 0), code_value(spec, 0)};
  const int codes = spec.codebook == Codebook::none ? 1 << (spec.low_bits + spec.high_bits) : 16;
  for (int q = 1; q < codes; ++q) {
    const int value = code_value(spec, static_cast<std::uint8_t>(q));
    if (value < of.least) of.least = value;
    if (value > of.most) of.most = value;
  }
  return of;
}

/// Inputs of a row of a grid.
constexpr std::size_t grid_inputs(const CodecSpec& spec) { return 8 / static_cast<std::size_t>(spec.low_bits); }

/// The spec of a quantised type; nullptr for plain types and types that are not packed.
const CodecSpec* find_codec(formats::DType dtype) noexcept;

/// Bytes of 32 inputs' integers.
constexpr std::size_t group_bytes(const CodecSpec& spec) {
  return kTileAlign * static_cast<std::size_t>(spec.low_bits + spec.high_bits);
}

/// Groups of 32 inputs in a part of a tile.
inline constexpr std::size_t kPartGroups = 8;

/// Bytes of the scales of a part, which its integers follow.
constexpr std::size_t part_scale_bytes(const CodecSpec& spec, std::size_t groups) {
  const std::size_t blocks = groups * kGroupInputs / static_cast<std::size_t>(spec.block);
  return (blocks * static_cast<std::size_t>(spec.scale_bytes) + kTileAlign - 1) / kTileAlign * kTileAlign;
}
constexpr std::size_t part_bytes(const CodecSpec& spec, std::size_t groups) {
  return part_scale_bytes(spec, groups) + groups * group_bytes(spec);
}

/// Where a block of inputs lies in a tile.
struct BlockPlace {
  std::size_t scales, planes;  ///< bytes from the tile's start
};
/// Of block `block` in a tile with `groups` groups of inputs.
constexpr BlockPlace block_place(const CodecSpec& spec, std::size_t groups, std::size_t block) {
  const std::size_t group = block * static_cast<std::size_t>(spec.block) / kGroupInputs, in_part = group % kPartGroups;
  const std::size_t part = group - in_part, left = groups - part;
  const std::size_t start = part / kPartGroups * part_bytes(spec, kPartGroups);
  const std::size_t in_blocks = in_part * kGroupInputs / static_cast<std::size_t>(spec.block);
  return {start + in_blocks * static_cast<std::size_t>(spec.scale_bytes),
          start + part_scale_bytes(spec, left < kPartGroups ? left : kPartGroups) + in_part * group_bytes(spec)};
}

/// Bytes of one tile with `cols` inputs. Throws Error(unsupported) for a type that is not packed.
std::uint64_t tile_bytes(formats::DType dtype, std::uint64_t cols);

/// One block of one row, between the file's form and the tile's.
struct CodecBlock {
  std::uint8_t q[256];      ///< the unsigned integers
  std::uint16_t d, m;       ///< halves
  std::uint8_t scales[16];  ///< as stored in the tile (six_bit: with the 32; byte: int8 bits)
  std::uint8_t mins[16];
  std::uint16_t index[64];  ///< of types with a grid; q has their codes too
};

/// Reads the file's block; writes one into a tile at (output, block). Planes must start zeroed.
void read_block(const CodecSpec& spec, const std::uint8_t* file, CodecBlock& out) noexcept;
/// Sets bits 0-2 of q from `index`, for types with a grid.
void read_grid(const CodecSpec& spec, CodecBlock& block) noexcept;
/// Whether the scales of the block, and its values, are finite.
bool is_finite(const CodecSpec& spec, const CodecBlock& block) noexcept;
/// Writes the scales of a block for one output, at the tile's scales of that block.
void write_scales(const CodecSpec& spec, const CodecBlock& block, std::size_t output, std::uint8_t* scales) noexcept;
/// Writes the integers of the block's group `group` of 32 inputs; blocks[n] is output n's, n < 16.
void write_group(const CodecSpec& spec, const CodecBlock* blocks, std::size_t group, std::uint8_t* planes) noexcept;
/// The inverse of both, for one output of a whole block. `planes` and `scales` are the block's own.
void read_tile_block(const CodecSpec& spec, const std::uint8_t* planes, const std::uint8_t* scales, std::size_t output,
                     CodecBlock& out) noexcept;
/// The fp32 values, in the reference's order of operations.
void dequantise(const CodecSpec& spec, const CodecBlock& block, float* out) noexcept;

float half_to_float(std::uint16_t half) noexcept;

/// 2^(exponent - 128): a scale of MXFP4 (E8M0) for the doubled values of its codebook.
float mxfp4_scale(std::uint8_t exponent) noexcept;
/// The largest whose products with the codebook are finite.
inline constexpr std::uint8_t kMaxMxfp4Exponent = 252;

/// Inputs that share a scale of an FP8 weight (DeepSeek-V3, section 3.3: blocks of 128 x 128).
inline constexpr std::size_t kF8Block = 128;

/// E4M3 without infinities (Micikevicius et al. 2022); NaN for 0x7f and 0xff.
constexpr float f8_to_float(std::uint8_t byte) noexcept {
  const int exponent = (byte >> 3) & 15, fraction = byte & 7;
  if (exponent == 15 && fraction == 7) return __builtin_nanf("");
  float value = exponent == 0 ? static_cast<float>(fraction) * 0x1p-9F : static_cast<float>(8 + fraction);
  for (int e = exponent; e > 10; --e) value *= 2;
  for (int e = exponent; e != 0 && e < 10; ++e) value /= 2;
  return (byte & 0x80) != 0 ? -value : value;
}

}  // namespace minke::kernels
