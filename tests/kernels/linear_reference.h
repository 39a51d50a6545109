// Linear products written out plainly: what the kernels are held to, bit for bit.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/codec.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"
#include "linear_testing.h"

namespace minke::kernels::testing {

/// A matrix packed, with its file bytes kept.
struct Weights {
  Weights(formats::DType dtype, std::size_t n, std::size_t k, std::uint64_t seed)
      : type(dtype), rows(n), cols(k), raw(random_weights(dtype, n, k, seed)), pool(2) {
    if (type == formats::DType::f8_e4m3) scales = random_values((rows + 127) / 128 * ((cols + 127) / 128), seed + 1);
    packed = PackedMatrix::pack({"w", type, rows, cols, raw, {}, std::as_bytes(std::span(scales))}, pool);
  }
  /// FP8's, of output n and input k.
  float scale(std::size_t n, std::size_t k) const { return scales[n / 128 * ((cols + 127) / 128) + k / 128]; }
  formats::DType type;
  std::size_t rows, cols;
  std::vector<std::byte> raw;
  std::vector<float> scales;
  base::ThreadPool pool;
  PackedMatrix packed;
};

/// y[n] of one row of x in `exact`: what kernel_table.h states for linear_float.
inline std::vector<float> exact_reference(const Weights& w, const float* x, const float* bias) {
  std::vector<float> y(w.rows), row(w.cols);
  for (std::size_t n = 0; n < w.rows; ++n) {
    w.packed.unpack_row(n, row);
    float total = 0;
    for (std::size_t first = 0; first < w.cols; first += 256) {
      float part = 0;
      for (std::size_t k = first; k < std::min(first + 256, w.cols); ++k) part = std::fma(x[k], row[k], part);
      total += part;
    }
    y[n] = bias == nullptr ? total : total + bias[n];
  }
  return y;
}

inline bool has_minima(const CodecSpec& spec) {
  return spec.scales == ScaleForm::six_bit_min || spec.scales == ScaleForm::four_bit_min;
}

/// The integer that multiplies a block's float, of sub-group i.
inline int integer_scale(const CodecSpec& spec, const CodecBlock& block, std::size_t i) {
  if (spec.scales == ScaleForm::six_bit) return block.scales[i] - 32;
  if (spec.scales == ScaleForm::byte) return std::bit_cast<std::int8_t>(block.scales[i]);
  if (spec.scales == ScaleForm::odd_nibble || spec.scales == ScaleForm::odd_word) return 2 * block.scales[i] + 1;
  return block.scales[i];
}

/// One block's scale and offset of a sub-group, from the codec's definition.
inline void sub_group_scales(const CodecSpec& spec, const CodecBlock& block, std::size_t i, float& scale,
                             float& offset) {
  const float d = half_to_float(block.d), m = half_to_float(block.m);
  scale = d;
  offset = 0;
  if (spec.scales == ScaleForm::half_min) offset = m;
  if (has_minima(spec)) offset = -m * block.mins[i];
  if (has_integer_blocks(spec)) scale = d * spec.unit * static_cast<float>(integer_scale(spec, block, i));
  if (spec.scales == ScaleForm::exponent) scale = std::ldexp(1.0F, block.scales[0] - 128);
}

/// y[n] of one row of x in `fast` for a quantised type: int8 groups of 32, exact integer sums.
inline std::vector<float> fast_reference(const Weights& w, const float* x, const float* bias) {
  const CodecSpec& spec = *find_codec(w.type);
  const formats::DTypeInfo& type = formats::info(w.type);
  const bool has_offset = spec.scales == ScaleForm::half_min || has_minima(spec);
  std::vector<int> q(w.cols);
  std::vector<float> x_scale(w.cols / 32);
  for (std::size_t g = 0; g < w.cols / 32; ++g) {
    float largest = 0;
    for (std::size_t k = 32 * g; k < 32 * g + 32; ++k) largest = std::max(largest, std::fabs(x[k]));
    if (largest < 0x1p-96F) continue;
    x_scale[g] = largest / 127;
    const float inverse = 127 / largest;
    for (std::size_t k = 32 * g; k < 32 * g + 32; ++k) q[k] = static_cast<int>(std::nearbyint(x[k] * inverse));
  }
  std::vector<float> y(w.rows);
  const std::size_t group = static_cast<std::size_t>(spec.group), block_cols = type.block_elements;
  for (std::size_t n = 0; n < w.rows; ++n) {
    float sum = 0;
    for (std::size_t first = 0; first < w.cols; first += 32) {
      CodecBlock block{};
      const std::size_t index = (n * w.cols + first) / block_cols;
      read_block(spec, reinterpret_cast<const std::uint8_t*>(w.raw.data()) + index * type.block_bytes, block);
      float scaled = 0, offset[2] = {}, x_sums[2] = {};
      for (std::size_t part = 0; part < 32 / group; ++part) {
        const std::size_t start = first + part * group;
        float scale;
        sub_group_scales(spec, block, start % block_cols / group, scale, offset[part]);
        int dot = 0, x_sum = 0;
        for (std::size_t k = start; k < start + group; ++k) {
          dot += q[k] * code_value(spec, block.q[k % block_cols]);
          x_sum += q[k];
        }
        scaled = part == 0 ? static_cast<float>(dot) * scale : std::fma(static_cast<float>(dot), scale, scaled);
        x_sums[part] = x_scale[first / 32] * static_cast<float>(x_sum);
      }
      sum = std::fma(scaled, x_scale[first / 32], sum);
      for (std::size_t part = 0; has_offset && part < 32 / group; ++part)
        sum = std::fma(x_sums[part], offset[part], sum);
    }
    y[n] = bias == nullptr ? sum : sum + bias[n];
  }
  return y;
}

/// A block's 256 weights as bytes of one step: what kernel_table.h states for linear_blocks.
struct ByteBlock {
  ByteBlock(const CodecSpec& spec, const CodecBlock& block) {
    const auto group = static_cast<std::size_t>(spec.group);
    const Extent values = extent(spec);
    const float d = half_to_float(block.d) * spec.unit, m = has_minima(spec) ? -half_to_float(block.m) : 0;
    const float reach = d * static_cast<float>(std::max(values.most, -values.least));
    float peak = 0x1p-80F;
    for (std::size_t i = 0; i < 256 / group; ++i) {
      const auto scale = static_cast<float>(integer_scale(spec, block, i));
      const float low = m * block.mins[i];
      peak = std::max({peak, std::fabs(low), std::fabs(std::fma(reach, scale, low))});
    }
    step = peak * (1.0F / 127);
    const float inverse = 127 * 256 / peak;
    for (std::size_t k = 0; k < 256; ++k) {
      const std::size_t i = k / group;
      const auto factor =
          static_cast<int>(std::nearbyint(static_cast<float>(integer_scale(spec, block, i)) * (d * inverse)));
      const auto low = static_cast<int>(std::nearbyint(block.mins[i] * (m * inverse)));
      // 16 bits hold every sum; those of a shift by floor().
      byte[k] = static_cast<std::int8_t>((code_value(spec, block.q[k]) * factor + low + 128) >> 8);
    }
  }
  float step;
  std::int8_t byte[256];
};

/// y[n] of one row of x in `fast` where blocks of 256 share a scale.
inline std::vector<float> blocks_reference(const Weights& w, const float* x, const float* bias) {
  const CodecSpec& spec = *find_codec(w.type);
  const std::size_t size = formats::info(w.type).block_bytes;
  std::vector<float> y(w.rows, 0.0F);
  for (std::size_t first = 0; first < w.cols; first += 256) {
    float largest = 0;
    for (std::size_t k = 0; k < 256; ++k) largest = std::max(largest, std::fabs(x[first + k]));
    if (largest < 0x1p-96F) continue;
    int q[256];
    for (std::size_t k = 0; k < 256; ++k) q[k] = static_cast<int>(std::nearbyint(x[first + k] * (127 / largest)));
    for (std::size_t n = 0; n < w.rows; ++n) {
      CodecBlock block{};
      const std::size_t index = (n * w.cols + first) / 256;
      read_block(spec, reinterpret_cast<const std::uint8_t*>(w.raw.data()) + index * size, block);
      const ByteBlock bytes(spec, block);
      int products = 0;
      for (std::size_t k = 0; k < 256; ++k) products += bytes.byte[k] * q[k];
      y[n] = std::fma(static_cast<float>(products) * bytes.step, largest / 127, y[n]);
    }
  }
  for (std::size_t n = 0; bias != nullptr && n < w.rows; ++n) y[n] += bias[n];
  return y;
}

/// Whether a table multiplies a type by blocks of 256.
inline bool in_blocks(const KernelTable& table, formats::DType type) {
  const CodecSpec* spec = find_codec(type);
  return table.linear_blocks != nullptr && spec != nullptr && has_integer_blocks(*spec);
}

/// Subnormals are zero, with their sign.
inline float normal(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x; }

/// To BF16 and back: the nearer neighbour, of two the even one.
inline float to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(normal(x));
  return std::bit_cast<float>((bits + 0x7fffU + (bits >> 16 & 1U)) & 0xffff0000U);
}

/// y[n] of one row of x in `fast` where activations are BF16: what kernel_table.h states for linear_halves.
inline std::vector<float> halves_reference(const Weights& w, const float* x, const float* bias) {
  const bool scaled = w.type == formats::DType::f8_e4m3;
  std::vector<float> y(w.rows), row(w.cols);
  for (std::size_t n = 0; n < w.rows; ++n) {
    w.packed.unpack_row(n, row);
    float total = 0, sum = 0;
    for (std::size_t first = 0; first < w.cols; first += 32) {
      const std::size_t end = std::min(first + 32, w.cols);
      float sums[2] = {};
      for (std::size_t k = first; k < end; ++k) {
        const float weight = scaled ? f8_to_float(static_cast<std::uint8_t>(w.raw[n * w.cols + k])) : row[k];
        sums[k % 2] = normal(std::fma(to_half(x[k]), normal(weight), sums[k % 2]));
      }
      sum = normal(sum + normal(sums[0] + sums[1]));
      if (!scaled || (end % 128 != 0 && end != w.cols)) continue;
      total = std::fma(sum, w.scale(n, first), total);
      sum = 0;
    }
    if (!scaled) total = sum;
    y[n] = bias == nullptr ? total : total + bias[n];
  }
  return y;
}

/// Whether a table multiplies a type in BF16.
inline bool in_halves(const KernelTable& table, formats::DType type) {
  return table.linear_halves != nullptr && multiplies_as_halves(type);
}

inline std::vector<float> reference(const KernelTable& table, Numerics numerics, const Weights& w, const float* x,
                                    const float* bias) {
  if (numerics == Numerics::fast && in_halves(table, w.type)) return halves_reference(w, x, bias);
  if (numerics != Numerics::fast || find_codec(w.type) == nullptr) return exact_reference(w, x, bias);
  return in_blocks(table, w.type) ? blocks_reference(w, x, bias) : fast_reference(w, x, bias);
}

}  // namespace minke::kernels::testing
