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
};

/// Six bits of a[8][16] and b[8][16] take 192 bytes: 128 of low nibbles (a | b << 4), [8][16]; then 64 of the
/// high pairs, [4][16]: a[i], b[i], a[i + 4], b[i + 4] from the lowest bits up. For six_bit, a is sub-groups
/// 0-7 and b 8-15.
inline constexpr std::size_t kSixBitBytes = 192;

struct CodecSpec {
  formats::DType dtype;
  ScaleForm scales;
  bool codebook;    ///< the integer is an index into kIq4Codebook
  int block;        ///< inputs that share `d`
  int group;        ///< inputs that share a scale: 32 or 16
  int low_bits;     ///< 8, 4 or 2
  int high_bits;    ///< 0, 1 or 2
  int zero;         ///< value = scale * (unsigned integer - zero) + offset
  int scale_bytes;  ///< per block
};

/// ggml's 4-bit non-linear codebook, plus 128.
inline constexpr std::uint8_t kIq4Codebook[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                  129, 141, 153, 166, 181, 197, 217, 241};

inline constexpr CodecSpec kCodecs[] = {
    {formats::DType::q4_0, ScaleForm::half, false, 32, 32, 4, 0, 8, 32},
    {formats::DType::q4_1, ScaleForm::half_min, false, 32, 32, 4, 0, 0, 64},
    {formats::DType::q5_0, ScaleForm::half, false, 32, 32, 4, 1, 16, 32},
    {formats::DType::q5_1, ScaleForm::half_min, false, 32, 32, 4, 1, 0, 64},
    {formats::DType::q8_0, ScaleForm::half, false, 32, 32, 8, 0, 128, 32},
    {formats::DType::q2_k, ScaleForm::four_bit_min, false, 256, 16, 2, 0, 0, 64 + 256},
    {formats::DType::q3_k, ScaleForm::six_bit, false, 256, 16, 2, 1, 4, 32 + kSixBitBytes},
    {formats::DType::q4_k, ScaleForm::six_bit_min, false, 256, 32, 4, 0, 0, 64 + kSixBitBytes},
    {formats::DType::q5_k, ScaleForm::six_bit_min, false, 256, 32, 4, 1, 0, 64 + kSixBitBytes},
    {formats::DType::q6_k, ScaleForm::byte, false, 256, 16, 4, 2, 32, 32 + 256},
    {formats::DType::iq4_nl, ScaleForm::half, true, 32, 32, 4, 0, 128, 32},
    {formats::DType::iq4_xs, ScaleForm::byte, true, 256, 32, 4, 0, 128, 32 + 128},
};

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
};

/// Reads the file's block; writes one into a tile at (output, block). Planes must start zeroed.
void read_block(const CodecSpec& spec, const std::uint8_t* file, CodecBlock& out) noexcept;
/// Whether the halves of the block are finite.
bool is_finite(const CodecSpec& spec, const CodecBlock& block) noexcept;
/// Writes the scales of a block for one output, at the tile's scales of that block.
void write_scales(const CodecSpec& spec, const CodecBlock& block, std::size_t output, std::uint8_t* scales) noexcept;
/// Writes 32 inputs' integers of 16 outputs: q[n] points at output n's 32 integers.
void write_group(const CodecSpec& spec, const std::uint8_t* const q[16], std::uint8_t* planes) noexcept;
/// The inverse of both, for one output of a whole block. `planes` and `scales` are the block's own.
void read_tile_block(const CodecSpec& spec, const std::uint8_t* planes, const std::uint8_t* scales, std::size_t output,
                     CodecBlock& out) noexcept;
/// The fp32 values, in the reference's order of operations.
void dequantise(const CodecSpec& spec, const CodecBlock& block, float* out) noexcept;

float half_to_float(std::uint16_t half) noexcept;

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
