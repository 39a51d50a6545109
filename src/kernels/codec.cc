#include "kernels/codec.h"

#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"

namespace minke::kernels {

using formats::DType;

const CodecSpec* find_codec(DType dtype) noexcept {
  for (const CodecSpec& spec : kCodecs)
    if (spec.dtype == dtype) return &spec;
  return nullptr;
}

std::uint64_t tile_bytes(DType dtype, std::uint64_t cols) {
  const auto padded = [](std::uint64_t bytes) {
    return base::checked_add(bytes, kTileAlign - 1, "packed tile") / kTileAlign * kTileAlign;
  };
  if (dtype == DType::f32) return padded(base::checked_mul(cols, kTileOutputs * 4, "packed tile"));
  if (dtype == DType::f16 || dtype == DType::bf16)
    return padded(base::checked_mul(cols / 2 + cols % 2, kTileOutputs * 4, "packed tile"));
  if (dtype == DType::f8_e4m3) {
    const std::uint64_t blocks = cols / kF8Block + (cols % kF8Block != 0 ? 1 : 0);
    const std::uint64_t weights = base::checked_mul(cols, kTileOutputs, "packed tile");
    return padded(
        base::checked_add(weights, base::checked_mul(blocks, kTileOutputs * 4, "packed tile"), "packed tile"));
  }
  const CodecSpec* spec = find_codec(dtype);
  if (spec == nullptr)
    throw base::Error(base::ErrorCode::unsupported,
                      base::cat("weights of type ", formats::info(dtype).name, " cannot be multiplied yet"));
  const std::uint64_t groups = cols / kGroupInputs;
  const std::uint64_t whole = base::checked_mul(groups / kPartGroups, part_bytes(*spec, kPartGroups), "packed tile");
  return base::checked_add(whole, part_bytes(*spec, static_cast<std::size_t>(groups % kPartGroups)), "packed tile");
}

float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t magnitude = half & 0x7fffU;
  if (magnitude >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | (magnitude & 0x3ffU) << 13);
  // Shifting aligns the fractions; the multiplication rebiases the exponent and normalises subnormals, exactly.
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}

namespace {

bool has_min(const CodecSpec& spec) {
  return spec.scales == ScaleForm::half_min || spec.scales == ScaleForm::six_bit_min ||
         spec.scales == ScaleForm::four_bit_min;
}

std::size_t sub_groups(const CodecSpec& spec) { return static_cast<std::size_t>(spec.block / spec.group); }

void put_half(std::uint8_t* at, std::uint16_t half) { std::memcpy(at, &half, 2); }
std::uint16_t get_half(const std::uint8_t* at) {
  std::uint16_t half;
  std::memcpy(&half, at, 2);
  return half;
}

/// a or b [i][output] of the six-bit form; which: 0 for a, 1 for b.
void put_six_bits(std::uint8_t* at, std::size_t i, int which, std::size_t output, std::uint8_t value) {
  std::uint8_t& low = at[i * 16 + output];
  low = static_cast<std::uint8_t>(low | (value & 15) << (4 * which));
  std::uint8_t& high = at[128 + i % 4 * 16 + output];
  high = static_cast<std::uint8_t>(high | (value >> 4 & 3) << (i / 4 * 4 + 2 * static_cast<std::size_t>(which)));
}
std::uint8_t get_six_bits(const std::uint8_t* at, std::size_t i, int which, std::size_t output) {
  const int low = at[i * 16 + output] >> (4 * which) & 15;
  const int high = at[128 + i % 4 * 16 + output] >> (i / 4 * 4 + 2 * static_cast<std::size_t>(which)) & 3;
  return static_cast<std::uint8_t>(low | high << 4);
}

std::uint32_t dword(const std::uint8_t* at) {
  std::uint32_t value;
  std::memcpy(&value, at, 4);
  return value;
}

/// Moves one plane of 16 outputs x 8 steps of dwords: kBits bits per byte, from bit kFrom of the integers.
template <int kBits>
void write_plane(const std::uint8_t* const q[16], int from, std::uint8_t* plane) {
  constexpr std::size_t kRows = kBits;  // rows of 64 bytes in a plane
  constexpr std::uint32_t kMask = ((1U << kBits) - 1U) * 0x01010101U;
  for (std::size_t n = 0; n < kTileOutputs; ++n) {
    for (std::size_t row = 0; row < kRows; ++row) {
      std::uint32_t packed = 0;
      for (std::size_t part = 0; part < kGroupSteps / kRows; ++part) {
        const std::uint32_t step = dword(q[n] + 4 * (row + part * kRows)) >> from & kMask;
        packed |= step << (part * kBits);
      }
      std::memcpy(plane + 64 * row + 4 * n, &packed, 4);
    }
  }
}

/// The inverse for one output: ORs the bits into q[32].
void read_plane(const std::uint8_t* plane, int bits, int to, std::size_t output, std::uint8_t* q) {
  const auto rows = static_cast<std::size_t>(bits);
  const std::uint32_t mask = bits == 8 ? 0xffffffffU : ((1U << bits) - 1U) * 0x01010101U;
  for (std::size_t step = 0; step < kGroupSteps; ++step) {
    const std::uint32_t packed = dword(plane + 64 * (step % rows) + 4 * output) >> (step / rows * rows) & mask;
    const std::uint32_t value = dword(q + 4 * step) | packed << to;
    std::memcpy(q + 4 * step, &value, 4);
  }
}

}  // namespace

bool is_finite(const CodecSpec& spec, const CodecBlock& block) noexcept {
  const auto finite = [](std::uint16_t half) { return (half & 0x7c00U) != 0x7c00U; };
  return finite(block.d) && (!has_min(spec) || finite(block.m));
}

void write_scales(const CodecSpec& spec, const CodecBlock& block, std::size_t output, std::uint8_t* scales) noexcept {
  put_half(scales + 2 * output, block.d);
  if (has_min(spec)) put_half(scales + 32 + 2 * output, block.m);
  switch (spec.scales) {
    case ScaleForm::half:
    case ScaleForm::half_min:
      break;
    case ScaleForm::six_bit_min:
      for (std::size_t i = 0; i < 8; ++i) {
        put_six_bits(scales + 64, i, 0, output, block.scales[i]);
        put_six_bits(scales + 64, i, 1, output, block.mins[i]);
      }
      break;
    case ScaleForm::four_bit_min:
      for (std::size_t i = 0; i < 16; ++i)
        scales[64 + 16 * i + output] = static_cast<std::uint8_t>(block.scales[i] | block.mins[i] << 4);
      break;
    case ScaleForm::six_bit:
      for (std::size_t i = 0; i < 16; ++i) put_six_bits(scales + 32, i % 8, i < 8 ? 0 : 1, output, block.scales[i]);
      break;
    case ScaleForm::byte:
      for (std::size_t i = 0; i < sub_groups(spec); ++i) scales[32 + 16 * i + output] = block.scales[i];
      break;
  }
}

void write_group(const CodecSpec& spec, const std::uint8_t* const q[16], std::uint8_t* planes) noexcept {
  if (spec.low_bits == 8) {
    for (std::size_t n = 0; n < kTileOutputs; ++n)
      for (std::size_t step = 0; step < kGroupSteps; ++step)
        std::memcpy(planes + 64 * step + 4 * n, q[n] + 4 * step, 4);
    return;
  }
  if (spec.low_bits == 4) {
    write_plane<4>(q, 0, planes);
  } else {
    write_plane<2>(q, 0, planes);
  }
  std::uint8_t* high = planes + kTileAlign * static_cast<std::size_t>(spec.low_bits);
  if (spec.high_bits == 1) write_plane<1>(q, spec.low_bits, high);
  if (spec.high_bits == 2) write_plane<2>(q, spec.low_bits, high);
}

void read_tile_block(const CodecSpec& spec, const std::uint8_t* planes, const std::uint8_t* scales, std::size_t output,
                     CodecBlock& out) noexcept {
  std::memset(&out, 0, sizeof out);
  out.d = get_half(scales + 2 * output);
  if (has_min(spec)) out.m = get_half(scales + 32 + 2 * output);
  for (std::size_t i = 0; i < sub_groups(spec); ++i) {
    switch (spec.scales) {
      case ScaleForm::half:
      case ScaleForm::half_min:
        break;
      case ScaleForm::six_bit_min:
        out.scales[i] = get_six_bits(scales + 64, i, 0, output);
        out.mins[i] = get_six_bits(scales + 64, i, 1, output);
        break;
      case ScaleForm::four_bit_min:
        out.scales[i] = scales[64 + 16 * i + output] & 15;
        out.mins[i] = scales[64 + 16 * i + output] >> 4;
        break;
      case ScaleForm::six_bit:
        out.scales[i] = get_six_bits(scales + 32, i % 8, i < 8 ? 0 : 1, output);
        break;
      case ScaleForm::byte:
        out.scales[i] = scales[32 + 16 * i + output];
        break;
    }
  }
  for (std::size_t g = 0; g < static_cast<std::size_t>(spec.block) / kGroupInputs; ++g) {
    const std::uint8_t* low = planes + g * group_bytes(spec);
    read_plane(low, spec.low_bits, 0, output, out.q + kGroupInputs * g);
    const std::uint8_t* high = low + kTileAlign * static_cast<std::size_t>(spec.low_bits);
    if (spec.high_bits != 0) read_plane(high, spec.high_bits, spec.low_bits, output, out.q + kGroupInputs * g);
  }
}

void dequantise(const CodecSpec& spec, const CodecBlock& block, float* out) noexcept {
  // Every product here is exact in fp32 (11 bits of a half, at most 6 + 7 of the integers); only adding the
  // offset rounds.
  const float d = half_to_float(block.d), m = half_to_float(block.m);
  const auto group = static_cast<std::size_t>(spec.group);
  for (std::size_t i = 0; i < sub_groups(spec); ++i) {
    float scale = d, offset = 0;
    switch (spec.scales) {
      case ScaleForm::half:
        break;
      case ScaleForm::half_min:
        offset = m;
        break;
      case ScaleForm::six_bit_min:
      case ScaleForm::four_bit_min:
        scale = d * static_cast<float>(block.scales[i]);
        offset = -(m * static_cast<float>(block.mins[i]));
        break;
      case ScaleForm::six_bit:
        scale = d * static_cast<float>(block.scales[i] - 32);
        break;
      case ScaleForm::byte:
        scale = d * static_cast<float>(static_cast<std::int8_t>(block.scales[i]));
        break;
    }
    for (std::size_t j = i * group; j < (i + 1) * group; ++j) {
      const int integer = (spec.codebook ? kIq4Codebook[block.q[j]] : block.q[j]) - spec.zero;
      const float value = scale * static_cast<float>(integer);
      out[j] = has_min(spec) ? value + offset : value;
    }
  }
}

}  // namespace minke::kernels
