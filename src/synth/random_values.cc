#include "synth/random_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/random.h"
#include "kernels/math.h"
#include "synth/block_writer.h"

namespace minke::synth {

namespace {

using formats::DType;
using kernels::CodecSpec;
using kernels::ScaleForm;

constexpr std::size_t kQuantiles = 65536;
constexpr std::size_t kBytesPerDraw = 16;    // of Philox
constexpr std::size_t kElementsPerDraw = 8;  // plain types and FP8 take 16 bits of randomness each
constexpr std::size_t kBlockDraws = 3;       // for a block's scales: 48 bytes

/// The distribution function of the normal: Marsaglia, "Evaluating the Normal Distribution" (2004), 1/2 + phi(x) (x +
/// x^3/3 + x^5/15 + ...).
double normal_below(double x, double density) {
  double term = x, sum = x;
  for (int odd = 3; std::fabs(term) > 1e-17 * std::fabs(sum); odd += 2) {
    term *= x * x / odd;
    sum += term;
    if (odd > 400) break;
  }
  return 0.5 + sum * density;
}

/// Quantiles by Newton's method from the middle outwards, each from the one before.
std::vector<float> normal_quantiles() {
  constexpr double kInverseRootTwoPi = 0.398942280401432677939946;
  std::vector<float> quantiles(kQuantiles);
  double x = 0;
  for (std::size_t i = kQuantiles / 2; i < kQuantiles; ++i) {
    const double wanted = (static_cast<double>(i) + 0.5) / kQuantiles;
    for (int step = 0; step < 8; ++step) {
      const double density = kInverseRootTwoPi * kernels::exp(-0.5 * x * x);
      const double change = (normal_below(x, density) - wanted) / density;
      x -= change;
      if (std::fabs(change) < 1e-12) break;
    }
    quantiles[i] = static_cast<float>(x);
    quantiles[kQuantiles - 1 - i] = -quantiles[i];
  }
  return quantiles;
}

/// Between the magnitudes of neighbouring E4M3 codes, in ascending order.
std::vector<float> f8_borders() {
  std::vector<float> borders;
  for (std::uint8_t code = 0; code < 0x7e; ++code)
    borders.push_back((kernels::f8_to_float(code) + kernels::f8_to_float(static_cast<std::uint8_t>(code + 1))) / 2);
  return borders;
}

/// The nearest E4M3 code; a tie goes to the smaller magnitude.
std::uint8_t nearest_f8(float value, std::span<const float> borders) {
  const auto code = std::lower_bound(borders.begin(), borders.end(), std::fabs(value)) - borders.begin();
  return static_cast<std::uint8_t>(code | (value < 0 ? 0x80 : 0));
}

/// What code q stands for before it is scaled.
double code_value(const CodecSpec& spec, int q) { return kernels::code_value(spec, static_cast<std::uint8_t>(q)); }

bool has_grid(const CodecSpec& spec) { return spec.grid.table != kernels::Grid::none; }

/// The deviation of rows of a grid drawn evenly, with signs (IQ1: shifts) drawn evenly too.
ValueTables::Codes grid_table(const CodecSpec& spec) {
  const std::size_t rows = std::size_t{256} << spec.grid.high_bits, inputs = kernels::grid_inputs(spec);
  const std::size_t per_block = static_cast<std::size_t>(spec.block) / inputs;
  double squares = 0;
  for (std::size_t first = 0; first < rows; first += per_block) {
    kernels::CodecBlock block{};
    for (std::size_t i = 0; i < per_block; ++i) block.index[i] = static_cast<std::uint16_t>(first + i);
    kernels::read_grid(spec, block);
    for (std::size_t v = 0; v < static_cast<std::size_t>(spec.block); ++v) {
      const double plus = code_value(spec, block.q[v]), minus = code_value(spec, block.q[v] | 8);
      squares += (plus * plus + minus * minus) / 2;
    }
  }
  ValueTables::Codes table{};
  table.deviation = std::sqrt(squares / static_cast<double>(rows * inputs));
  return table;
}

/// A deviation that uses the codes well: about 2.7 of them to the end of the range, as quantisers leave it.
ValueTables::Codes code_table(const CodecSpec& spec, std::span<const float> normal) {
  if (has_grid(spec)) return grid_table(spec);
  ValueTables::Codes table{};
  const int codes = spec.codebook != kernels::Codebook::none ? 16 : 1 << (spec.low_bits + spec.high_bits);
  double least = code_value(spec, 0), most = least;
  for (int q = 1; q < codes; ++q) {
    least = std::min(least, code_value(spec, q));
    most = std::max(most, code_value(spec, q));
  }
  const double middle = (least + most) / 2, spread = (most - least) / 2 / 2.7;
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < 256; ++i) {
    const double wanted = middle + spread * static_cast<double>(normal[256 * i + 128]);
    int best = 0;
    for (int q = 1; q < codes; ++q)
      if (std::fabs(code_value(spec, q) - wanted) < std::fabs(code_value(spec, best) - wanted)) best = q;
    table.code[i] = static_cast<std::uint8_t>(best);
    sum += code_value(spec, best);
    squares += code_value(spec, best) * code_value(spec, best);
  }
  table.mean = sum / 256;
  table.deviation = std::sqrt(squares / 256 - table.mean * table.mean);
  return table;
}

/// FNV-1a: a stream of its own for each tensor.
std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U;
  return hash;
}

class RandomBytes {
 public:
  RandomBytes(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  /// `bytes` is a multiple of 16; `position` counts draws of 16.
  void fill(std::uint64_t position, std::uint8_t* out, std::size_t bytes) const {
    for (std::size_t at = 0; at < bytes; at += kBytesPerDraw, ++position) {
      const auto words =
          base::philox4x32({static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
                            static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                           {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
      std::memcpy(out + at, words.data(), kBytesPerDraw);
    }
  }

 private:
  std::uint64_t seed_, stream_;
};

void put_plain(DType dtype, float value, std::byte* out) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (dtype == DType::f32) {
    std::memcpy(out, &bits, 4);
    return;
  }
  const std::uint16_t half =
      dtype == DType::f16 ? to_half(value) : static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
  std::memcpy(out, &half, 2);
}

/// The factor by which scales vary: 3/4 to 5/4.
float variation(std::uint8_t random) { return 0.75F + static_cast<float>(random) / 512.0F; }

float plain_value(const PlannedTensor& tensor, const ValueTables& tables, std::uint16_t random) {
  switch (tensor.fill) {
    case Fill::norm:
      return 1.0F + static_cast<float>(tensor.deviation) * tables.normal()[random];
    case Fill::scales:
      return static_cast<float>(tensor.deviation / ValueTables::kF8Deviation) *
             variation(static_cast<std::uint8_t>(random >> 8));
    case Fill::matrix:
    case Fill::values:
      break;
  }
  return static_cast<float>(tensor.deviation) * tables.normal()[random];
}

void fill_plain(const PlannedTensor& tensor, const ValueTables& tables, const RandomBytes& random, std::uint64_t first,
                std::uint64_t count, std::byte* out) {
  const std::size_t size = formats::info(tensor.spec.dtype).block_bytes;
  std::uint8_t bytes[kBytesPerDraw] = {};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t element = first + i;
    if (element % kElementsPerDraw == 0) random.fill(element / kElementsPerDraw, bytes, sizeof bytes);
    std::uint16_t draw;
    std::memcpy(&draw, bytes + 2 * (element % kElementsPerDraw), 2);
    if (tensor.spec.dtype == DType::f8_e4m3) {
      out[i] = static_cast<std::byte>(tables.f8()[draw]);
    } else {
      const bool given = tensor.fill == Fill::values;
      put_plain(tensor.spec.dtype, given ? tensor.values[element] : plain_value(tensor, tables, draw), out + i * size);
    }
  }
}

/// Scales of a block so that its values have mean 0 and about the wanted deviation.
void choose_scales(const CodecSpec& spec, const ValueTables::Codes& codes, double deviation, const std::uint8_t* random,
                   kernels::CodecBlock& block) {
  float d = static_cast<float>(deviation / codes.deviation) * variation(random[0]);
  const auto mean = static_cast<float>(codes.mean);
  const std::uint8_t* draws = random + 2;  // two for each sub-group, at most 32 are used
  const bool negative = (random[1] & 1) != 0;
  const int groups = spec.block / spec.group;
  switch (spec.scales) {
    case ScaleForm::half:
      block.d = to_half(negative ? -d : d);
      break;
    case ScaleForm::half_min:
      block.d = to_half(d);
      block.m = to_half(-mean * d);
      break;
    case ScaleForm::six_bit_min:  // scales 32 to 63, minima beside them
      d /= 47.5F;
      block.d = to_half(d);
      block.m = to_half(mean * d);
      for (int i = 0; i < groups; ++i) {
        block.scales[i] = static_cast<std::uint8_t>(32 + draws[2 * i] % 32);
        block.mins[i] =
            static_cast<std::uint8_t>(std::min(63, std::max(0, block.scales[i] + draws[2 * i + 1] % 5 - 2)));
      }
      break;
    case ScaleForm::four_bit_min:  // 8 to 15
      d /= 11.5F;
      block.d = to_half(d);
      block.m = to_half(mean * d);
      for (int i = 0; i < groups; ++i) {
        block.scales[i] = static_cast<std::uint8_t>(8 + draws[2 * i] % 8);
        block.mins[i] =
            static_cast<std::uint8_t>(std::min(15, std::max(0, block.scales[i] + draws[2 * i + 1] % 3 - 1)));
      }
      break;
    case ScaleForm::six_bit:  // +-16 to 31, stored with 32 added
      block.d = to_half(d / 23.5F);
      for (int i = 0; i < groups; ++i) {
        const int scale = 16 + draws[2 * i] % 16;
        block.scales[i] = static_cast<std::uint8_t>(32 + ((draws[2 * i + 1] & 1) != 0 ? -scale : scale));
      }
      break;
    case ScaleForm::byte: {  // half to the whole of the range: int8 of Q6_K, six bits of IQ4_XS
      const int top = spec.dtype == DType::iq4_xs ? 31 : 127, low = (top + 1) / 2;
      block.d = to_half(d / (0.75F * static_cast<float>(top)));
      for (int i = 0; i < groups; ++i) {
        const int scale = low + draws[2 * i] % low;
        block.scales[i] = static_cast<std::uint8_t>((draws[2 * i + 1] & 1) != 0 ? -scale : scale);
      }
      break;
    }
    case ScaleForm::odd_nibble:
    case ScaleForm::odd_word: {  // 2 s + 1 with s in the upper half of its 4 (IQ1: 3) bits
      const int half = spec.grid.table == kernels::Grid::iq1 ? 4 : 8;
      d /= spec.unit * static_cast<float>(3 * half);
      block.d = to_half(negative ? -d : d);
      for (int i = 0; i < groups; ++i) block.scales[i] = static_cast<std::uint8_t>(half + draws[2 * i] % half);
      break;
    }
    case ScaleForm::exponent: {  // the power of two below or above, so that the mean of squares is right
      const int below = std::ilogb(d);
      const float ratio = std::ldexp(d, -below), above = (ratio * ratio - 1) / 3 * 256;  // chance of 256
      const int exponent = below + (static_cast<float>(draws[0]) < above ? 1 : 0) + 128;
      block.scales[0] = static_cast<std::uint8_t>(std::clamp<int>(exponent, 0, kernels::kMaxMxfp4Exponent));
      break;
    }
  }
}

/// Rows of the grid and signs, from a byte per input. Where a file has seven signs of eight, the eighth makes the
/// number of negative ones even; IQ1_S has one shift for 32 inputs, IQ1_M for 8.
void choose_indices(const CodecSpec& spec, const std::uint8_t* random, kernels::CodecBlock& block) {
  const std::size_t inputs = kernels::grid_inputs(spec), rows = std::size_t{256} << spec.grid.high_bits;
  for (std::size_t i = 0; i < static_cast<std::size_t>(spec.block) / inputs; ++i)
    block.index[i] = static_cast<std::uint16_t>((random[inputs * i] | random[inputs * i + 1] << 8) % rows);
  const bool even = spec.dtype == DType::iq2_xxs || spec.dtype == DType::iq2_xs || spec.dtype == DType::iq3_xxs;
  for (std::size_t i = 0; i < static_cast<std::size_t>(spec.block) / 8; ++i) {
    unsigned signs = random[8 * i + 2];
    if (even) signs = (signs & 127U) | (static_cast<unsigned>(std::popcount(signs & 127U)) & 1U) << 7;
    if (spec.dtype == DType::iq1_s) signs = (random[8 * (i / 4 * 4) + 2] & 1U) * 255U;
    if (spec.dtype == DType::iq1_m) signs = (signs & 1U) * 255U;
    for (std::size_t v = 0; v < 8; ++v) block.q[8 * i + v] = static_cast<std::uint8_t>((signs >> v & 1U) << 3);
  }
}

void fill_blocks(const CodecSpec& spec, const PlannedTensor& tensor, const ValueTables& tables,
                 const RandomBytes& random, std::uint64_t first, std::uint64_t count, std::byte* out) {
  const ValueTables::Codes& codes = tables.codes(spec.dtype);
  const auto elements = static_cast<std::size_t>(spec.block);
  const std::size_t draws = elements / kBytesPerDraw + kBlockDraws;
  const std::size_t block_bytes = formats::info(spec.dtype).block_bytes;
  std::uint8_t bytes[256 + kBlockDraws * kBytesPerDraw] = {};
  kernels::CodecBlock block;
  for (std::uint64_t i = 0; i < count / elements; ++i) {
    random.fill((first / elements + i) * draws, bytes, draws * kBytesPerDraw);
    if (has_grid(spec))
      choose_indices(spec, bytes, block);
    else
      for (std::size_t e = 0; e < elements; ++e) block.q[e] = codes.code[bytes[e]];
    choose_scales(spec, codes, tensor.deviation, bytes + elements, block);
    write_block(spec, block, reinterpret_cast<std::uint8_t*>(out) + i * block_bytes);
  }
}

}  // namespace

ValueTables::ValueTables()
    : normal_(normal_quantiles()), f8_(kQuantiles), codes_(static_cast<std::size_t>(DType::mxfp4) + 1) {
  const std::vector<float> borders = f8_borders();
  for (std::size_t i = 0; i < kQuantiles; ++i)
    f8_[i] = nearest_f8(static_cast<float>(kF8Deviation) * normal_[i], borders);
  for (const CodecSpec& spec : kernels::kCodecs)
    codes_[static_cast<std::size_t>(spec.dtype)] = code_table(spec, normal_);
}

std::uint64_t fill_unit(DType dtype) {
  return std::max<std::uint64_t>(formats::info(dtype).block_elements, kElementsPerDraw);
}

void fill_values(const PlannedTensor& tensor, const ValueTables& tables, std::uint64_t seed, std::uint64_t first,
                 std::uint64_t count, std::byte* out) noexcept {
  const RandomBytes random(seed, stream_of(tensor.spec.name));
  if (const CodecSpec* spec = kernels::find_codec(tensor.spec.dtype))
    fill_blocks(*spec, tensor, tables, random, first, count, out);
  else
    fill_plain(tensor, tables, random, first, count, out);
}

}  // namespace minke::synth
