#include "kernels/codec.h"

#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/codec_grids.h"

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

float mxfp4_scale(std::uint8_t exponent) noexcept {
  // Below 2^-126 a float is subnormal: its fraction is the value.
  const std::uint32_t bits = exponent < 2 ? 0x200000U << exponent : (exponent - 1U) << 23;
  return std::bit_cast<float>(bits);
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

/// Where a block's words of high index bits start (GridSpec), in its scales.
std::size_t words_at(const CodecSpec& spec) {
  return static_cast<std::size_t>(spec.scale_bytes) - 16 * static_cast<std::size_t>(spec.grid.word_bits);
}

/// Indices of 32 inputs.
std::size_t group_indices(const CodecSpec& spec) { return kGroupInputs / grid_inputs(spec); }

/// Bit of a word of IQ1 that says which shift the inputs of index j have.
std::size_t shift_bit(const CodecSpec& spec, std::size_t j) { return spec.dtype == DType::iq1_s ? 15 : 4 * j + 3; }

void write_words(const CodecSpec& spec, const CodecBlock& block, std::size_t output, std::uint8_t* words) {
  for (std::size_t g = 0; g < kPartGroups; ++g) {
    std::uint32_t word = spec.scales == ScaleForm::odd_word ? std::uint32_t{block.scales[g]} << 12 : 0U;
    for (std::size_t j = 0; j < group_indices(spec); ++j) {
      const std::size_t i = g * group_indices(spec) + j;
      word |= (block.index[i] >> 8U) << (static_cast<std::size_t>(spec.grid.high_step) * j);
      if (spec.grid.table == Grid::iq1) word |= (block.q[i * grid_inputs(spec)] >> 3 & 1U) << shift_bit(spec, j);
    }
    if (spec.grid.word_bits == 4) {
      std::uint8_t& byte = words[16 * (g / 2) + output];
      byte = static_cast<std::uint8_t>(byte | word << (4 * (g % 2)));
    } else if (spec.grid.word_bits == 8) {
      words[16 * g + output] = static_cast<std::uint8_t>(word);
    } else if (spec.grid.word_bits == 16) {
      words[32 * g + output] = static_cast<std::uint8_t>(word);
      words[32 * g + 16 + output] = static_cast<std::uint8_t>(word >> 8);
    }
  }
}

std::uint32_t read_word(const CodecSpec& spec, const std::uint8_t* words, std::size_t g, std::size_t output) {
  if (spec.grid.word_bits == 4) return words[16 * (g / 2) + output] >> (4 * (g % 2)) & 15U;
  if (spec.grid.word_bits == 8) return words[16 * g + output];
  if (spec.grid.word_bits == 16) return words[32 * g + output] | std::uint32_t{words[32 * g + 16 + output]} << 8;
  return 0;
}

/// Indices of one output of group g, and IQ1's shifts.
void read_tile_indices(const CodecSpec& spec, const std::uint8_t* planes, const std::uint8_t* scales, std::size_t g,
                       std::size_t output, CodecBlock& out) {
  const std::uint32_t word = read_word(spec, scales + words_at(spec), g, output);
  const std::uint32_t mask = (1U << spec.grid.high_bits) - 1U;
  for (std::size_t j = 0; j < group_indices(spec); ++j) {
    const std::size_t i = g * group_indices(spec) + j;
    const std::uint32_t high = word >> (static_cast<std::size_t>(spec.grid.high_step) * j) & mask;
    out.index[i] = static_cast<std::uint16_t>(planes[16 * j + output] | high << 8);
    if (spec.grid.table == Grid::iq1 && (word >> shift_bit(spec, j) & 1U) != 0)
      std::memset(out.q + i * grid_inputs(spec), 8, grid_inputs(spec));
  }
}

}  // namespace

void read_grid(const CodecSpec& spec, CodecBlock& block) noexcept {
  const std::size_t inputs = grid_inputs(spec);
  for (std::size_t i = 0; i < static_cast<std::size_t>(spec.block) / inputs; ++i) {
    const std::size_t index = block.index[i];
    std::uint64_t codes = 0;
    switch (spec.grid.table) {
      case Grid::none:
        return;
      case Grid::iq1:
        codes = kGridTables.iq1[index];
        break;
      case Grid::iq2_xxs:
        codes = kGridTables.iq2_xxs[index];
        break;
      case Grid::iq2_xs:
        codes = kGridTables.iq2_xs[index];
        break;
      case Grid::iq2_s:
        codes = kGridTables.iq2_s[index];
        break;
      case Grid::iq3_xxs:
        codes = kGridTables.iq3_xxs[index];
        break;
      case Grid::iq3_s:
        codes = kGridTables.iq3_s[index];
        break;
    }
    for (std::size_t v = 0; v < inputs; ++v) {
      std::uint8_t& q = block.q[i * inputs + v];
      q = static_cast<std::uint8_t>(q | (codes >> (8 * v) & 7U));
    }
  }
}

bool is_finite(const CodecSpec& spec, const CodecBlock& block) noexcept {
  if (spec.scales == ScaleForm::exponent) return block.scales[0] <= kMaxMxfp4Exponent;
  const auto finite = [](std::uint16_t half) { return (half & 0x7c00U) != 0x7c00U; };
  return finite(block.d) && (!has_min(spec) || finite(block.m));
}

void write_scales(const CodecSpec& spec, const CodecBlock& block, std::size_t output, std::uint8_t* scales) noexcept {
  if (spec.scales == ScaleForm::exponent) {
    scales[output] = block.scales[0];
    return;
  }
  put_half(scales + 2 * output, block.d);
  if (has_min(spec)) put_half(scales + 32 + 2 * output, block.m);
  if (spec.grid.word_bits != 0) write_words(spec, block, output, scales + words_at(spec));
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
    case ScaleForm::odd_nibble:
      for (std::size_t i = 0; i < sub_groups(spec); ++i) {
        std::uint8_t& byte = scales[32 + 16 * (i / 2) + output];
        byte = static_cast<std::uint8_t>(byte | block.scales[i] << (4 * (i % 2)));
      }
      break;
    case ScaleForm::odd_word:
    case ScaleForm::exponent:
      break;
  }
}

void write_group(const CodecSpec& spec, const CodecBlock* blocks, std::size_t group, std::uint8_t* planes) noexcept {
  const std::uint8_t* q[kTileOutputs];
  for (std::size_t n = 0; n < kTileOutputs; ++n) q[n] = blocks[n].q + kGroupInputs * group;
  if (spec.grid.table != Grid::none) {
    const std::size_t count = group_indices(spec);
    for (std::size_t n = 0; n < kTileOutputs; ++n)
      for (std::size_t j = 0; j < count; ++j)
        planes[16 * j + n] = static_cast<std::uint8_t>(blocks[n].index[count * group + j]);
    if (spec.high_bits == 1) write_plane<1>(q, 3, planes + 16 * count);
    return;
  }
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
  if (spec.scales != ScaleForm::exponent) out.d = get_half(scales + 2 * output);
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
      case ScaleForm::odd_nibble:
        out.scales[i] = scales[32 + 16 * (i / 2) + output] >> (4 * (i % 2)) & 15;
        break;
      case ScaleForm::odd_word:
        out.scales[i] = scales[32 + 32 * i + 16 + output] >> 4 & 7;
        break;
      case ScaleForm::exponent:
        out.scales[0] = scales[output];
        break;
    }
  }
  for (std::size_t g = 0; g < static_cast<std::size_t>(spec.block) / kGroupInputs; ++g) {
    const std::uint8_t* low = planes + g * group_bytes(spec);
    if (spec.grid.table != Grid::none) {
      read_tile_indices(spec, low, scales, g, output, out);
      if (spec.high_bits == 1) read_plane(low + 16 * group_indices(spec), 1, 3, output, out.q + kGroupInputs * g);
      continue;
    }
    read_plane(low, spec.low_bits, 0, output, out.q + kGroupInputs * g);
    const std::uint8_t* high = low + kTileAlign * static_cast<std::size_t>(spec.low_bits);
    if (spec.high_bits != 0) read_plane(high, spec.high_bits, spec.low_bits, output, out.q + kGroupInputs * g);
  }
  if (spec.grid.table != Grid::none) read_grid(spec, out);
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
      case ScaleForm::odd_nibble:
      case ScaleForm::odd_word:
        scale = d * spec.unit * static_cast<float>(2 * block.scales[i] + 1);
        break;
      case ScaleForm::exponent:
        scale = mxfp4_scale(block.scales[0]);
        break;
    }
    for (std::size_t j = i * group; j < (i + 1) * group; ++j) {
      const float value = scale * static_cast<float>(code_value(spec, block.q[j]));
      out[j] = has_min(spec) ? value + offset : value;
    }
  }
}

}  // namespace minke::kernels
