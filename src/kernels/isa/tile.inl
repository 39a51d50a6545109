// Packed tiles (codec.h) as vectors: a codec's traits as constants, its scales, its integers. Included by the
// isa_*.cc after Simd.

#include "kernels/codec.h"

namespace {

using minke::formats::DType;
using minke::kernels::ActivationGroup;
using minke::kernels::CodecSpec;
using minke::kernels::kPartGroups;
using minke::kernels::LinearTask;
using minke::kernels::ScaleForm;

/// A copy of this file's own: a constant of the header would be a weak symbol when its address is taken.
template <minke::kernels::Codebook kBook>
constexpr minke::kernels::CodebookTable kCodebook = minke::kernels::kCodebooks[static_cast<std::size_t>(kBook)];

constexpr const CodecSpec& spec_of(DType dtype) {
  for (const CodecSpec& spec : minke::kernels::kCodecs)
    if (spec.dtype == dtype) return spec;
  return minke::kernels::kCodecs[0];
}

/// The traits of a codec as constants.
template <DType kType>
struct Codec {
  static constexpr CodecSpec kSpec = spec_of(kType);
  static constexpr int kLow = kSpec.low_bits, kHigh = kSpec.high_bits, kZero = kSpec.zero;
  static constexpr int kBlockGroups = kSpec.block / 32;
  static constexpr int kParts = 32 / kSpec.group;  // scales per group of 32
  static constexpr int kSteps = 8 / kParts;
  static constexpr std::size_t kGroupBytes = 64 * (kLow + kHigh);
  static constexpr std::size_t kScaleBytes = kSpec.scale_bytes;
  static constexpr std::size_t kPartBytes = minke::kernels::part_bytes(kSpec, minke::kernels::kPartGroups);
  static constexpr ScaleForm kForm = kSpec.scales;
  static constexpr bool kOffset =
      kForm == ScaleForm::half_min || kForm == ScaleForm::six_bit_min || kForm == ScaleForm::four_bit_min;
  static constexpr bool kBook = kSpec.codebook != minke::kernels::Codebook::none;
  static constexpr bool kGrid = kSpec.grid.table != minke::kernels::Grid::none;  // grid.inl decodes it
  static constexpr bool kWide = kLow == 8 || kBook;
  static constexpr minke::kernels::Extent kExtent = minke::kernels::extent(kSpec);
  static constexpr int kMax = (1 << (kWide ? 1 : kLow + kHigh)) - 1;
};

constexpr int log2_of(int power) { return power <= 1 ? 0 : 1 + log2_of(power / 2); }

/// One output scale and offset vector per sub-group of a block of 256 inputs.
template <typename C>
struct Scales {
  Simd::F d, m;  // m: what multiplies the minima, sign included
  std::uint8_t wide[C::kForm == ScaleForm::six_bit || C::kForm == ScaleForm::six_bit_min ? 256 : 1];
  const std::uint8_t* at;

  [[gnu::always_inline]] explicit Scales(const std::uint8_t* scales) : at(scales) {
    const auto* halves = reinterpret_cast<const std::uint16_t*>(scales);
    d = Simd::load_f16(halves);
    if constexpr (C::kSpec.unit != 1) d = Simd::mul(d, Simd::set1(C::kSpec.unit));
    if constexpr (C::kOffset) m = Simd::sub(Simd::set1(-0.0F), Simd::load_f16(halves + 16));
    if constexpr (C::kForm == ScaleForm::six_bit) widen(scales + 32);
    if constexpr (C::kForm == ScaleForm::six_bit_min) widen(scales + 64);
  }

  /// Six-bit values to bytes: a[8][16], then b[8][16].
  [[gnu::always_inline]] void widen(const std::uint8_t* packed) {
    const Simd::B low0 = Simd::load_bytes(packed), low1 = Simd::load_bytes(packed + 64);
    const Simd::B high = Simd::load_bytes(packed + 128);
    Simd::store_bytes(wide, Simd::or_bytes(Simd::move_bits<0, 0x0f>(low0), Simd::move_bits<-4, 0x30>(high)));
    Simd::store_bytes(wide + 64, Simd::or_bytes(Simd::move_bits<0, 0x0f>(low1), Simd::move_bits<0, 0x30>(high)));
    Simd::store_bytes(wide + 128, Simd::or_bytes(Simd::move_bits<4, 0x0f>(low0), Simd::move_bits<-2, 0x30>(high)));
    Simd::store_bytes(wide + 192, Simd::or_bytes(Simd::move_bits<4, 0x0f>(low1), Simd::move_bits<2, 0x30>(high)));
  }

  /// Of sub-group i of the block: the integer that multiplies `d`, up to 255 in magnitude.
  [[gnu::always_inline]] Simd::I integer(std::size_t i) const {
    if constexpr (C::kForm == ScaleForm::six_bit_min) {
      return Simd::widen_u8(wide + 16 * i);
    } else if constexpr (C::kForm == ScaleForm::four_bit_min) {
      return Simd::and_int(Simd::widen_u8(at + 64 + 16 * i), Simd::set1_int(15));
    } else if constexpr (C::kForm == ScaleForm::six_bit) {
      return Simd::sub_int(Simd::widen_u8(wide + 16 * i), Simd::set1_int(32));
    } else if constexpr (C::kForm == ScaleForm::odd_nibble) {
      const Simd::I two = Simd::widen_u8(at + 32 + 16 * (i / 2));
      return odd(i % 2 == 0 ? Simd::and_int(two, Simd::set1_int(15)) : Simd::template shift_right<4>(two));
    } else if constexpr (C::kForm == ScaleForm::odd_word) {
      const Simd::I high = Simd::template shift_right<4>(Simd::widen_u8(at + 32 + 32 * i + 16));
      return odd(Simd::and_int(high, Simd::set1_int(7)));
    } else {
      return Simd::widen_i8(reinterpret_cast<const std::int8_t*>(at + 32 + 16 * i));
    }
  }
  /// 2 s + 1
  static Simd::I odd(Simd::I s) { return Simd::add_int(Simd::add_int(s, s), Simd::set1_int(1)); }
  /// The integer that multiplies `m`.
  [[gnu::always_inline]] Simd::I minimum(std::size_t i) const {
    if constexpr (C::kForm == ScaleForm::six_bit_min) {
      return Simd::widen_u8(wide + 128 + 16 * i);
    } else {
      static_assert(C::kForm == ScaleForm::four_bit_min);
      return Simd::template shift_right<4>(Simd::widen_u8(at + 64 + 16 * i));
    }
  }
  /// The products are exact, so their order does not matter.
  [[gnu::always_inline]] Simd::F scale(std::size_t i) const { return Simd::mul(d, Simd::to_float(integer(i))); }
  /// What is added to scale * integer.
  [[gnu::always_inline]] Simd::F offset(std::size_t i) const {
    if constexpr (C::kOffset) return Simd::mul(m, Simd::to_float(minimum(i)));
    return Simd::zero();
  }
};

/// 2^(e - 128). The first term is right from e = 2 on and not above zero before; the second, half the float's
/// exponent field where that is empty, is right before and too small after.
[[gnu::always_inline]] inline Simd::F exponent_scale(const std::uint8_t* at) {
  const Simd::I e = Simd::widen_u8(at), one = Simd::set1_int(1);
  return Simd::as_float(Simd::max_int(Simd::template shift_left<23>(Simd::sub_int(e, one)),
                                      Simd::template shift_left<21>(Simd::add_int(e, one))));
}

/// The scales of a part's sub-groups. Where each group of 32 has its own, all are converted at once: read group by
/// group, they would be a second stream beside the integers, which halves the speed of reading (Q4_1, Zen 4).
template <typename C, bool kPerGroup = C::kBlockGroups == 1>
struct PartScales : Scales<C> {
  [[gnu::always_inline]] PartScales(const std::uint8_t* scales, std::size_t /*groups*/) : Scales<C>(scales) {}
};
template <typename C>
struct PartScales<C, true> {
  alignas(64) float d[kPartGroups][16];
  alignas(64) float m[C::kOffset ? kPartGroups : 1][16];

  [[gnu::always_inline]] PartScales(const std::uint8_t* scales, std::size_t groups) {
    for (std::size_t g = 0; g < groups; ++g, scales += C::kScaleBytes) {
      if constexpr (C::kForm == ScaleForm::exponent) {
        Simd::store(d[g], exponent_scale(scales));
        continue;
      }
      const auto* halves = reinterpret_cast<const std::uint16_t*>(scales);
      Simd::store(d[g], Simd::load_f16(halves));
      if constexpr (C::kOffset) Simd::store(m[g], Simd::load_f16(halves + 16));
    }
  }
  [[gnu::always_inline]] Simd::F scale(std::size_t i) const { return Simd::load(d[i]); }
  [[gnu::always_inline]] Simd::F offset(std::size_t i) const {
    if constexpr (C::kOffset) return Simd::load(m[i]);
    return Simd::zero();
  }
};

/// ORs the high plane into w[kStep...]: kHigh bits land above kLow.
template <typename C, int kStep>
[[gnu::always_inline]] inline void add_high_bits(const std::uint8_t* high, Simd::B* w) {
  if constexpr (kStep < 8) {
    constexpr int kRows = C::kHigh;
    constexpr int kMask = ((1 << C::kHigh) - 1) << C::kLow;
    constexpr int kFrom = kStep / kRows * kRows;
    const Simd::B plane = Simd::load_bytes(high + 64 * (kStep % kRows));
    w[kStep] = Simd::or_bytes(w[kStep], Simd::move_bits<kFrom - C::kLow, kMask>(plane));
    add_high_bits<C, kStep + 1>(high, w);
  }
}

/// Eight steps of unsigned integers of one group of 32 inputs.
template <typename C>
[[gnu::always_inline]] inline void decode_group(const std::uint8_t* planes, Simd::B* w) {
  if constexpr (C::kLow == 8) {
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) w[s] = Simd::load_bytes(planes + 64 * s);
  } else if constexpr (C::kLow == 4) {
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const Simd::B both = Simd::load_bytes(planes + 64 * s);
      w[s] = Simd::move_bits<0, 15>(both);
      w[s + 4] = Simd::move_bits<4, 15>(both);
    }
    if constexpr (C::kBook) {
#pragma GCC unroll 8
      for (int s = 0; s < 8; ++s) w[s] = Simd::lookup(kCodebook<C::kSpec.codebook>.v, w[s]);
    }
  } else {
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      const Simd::B four = Simd::load_bytes(planes + 64 * s);
      w[s] = Simd::move_bits<0, 3>(four);
      w[s + 2] = Simd::move_bits<2, 3>(four);
      w[s + 4] = Simd::move_bits<4, 3>(four);
      w[s + 6] = Simd::move_bits<6, 3>(four);
    }
  }
  if constexpr (C::kHigh != 0) add_high_bits<C, 0>(planes + 64 * C::kLow, w);
}

/// Up to 256 inputs of a tile: their scales, then their integers.
template <typename C>
struct TilePart {
  const std::uint8_t *scales, *planes;
  std::size_t groups;
  /// `first`: a multiple of kPartGroups.
  [[gnu::always_inline]] TilePart(const LinearTask& task, std::size_t tile, std::size_t first) {
    const std::size_t left = task.cols / 32 - first;
    groups = left < kPartGroups ? left : kPartGroups;
    scales = task.tiles + tile * task.tile_bytes + first / kPartGroups * C::kPartBytes;
    planes = scales + (groups / C::kBlockGroups * C::kScaleBytes + 63) / 64 * 64;
  }
};

/// Asks for the weights `ahead` bytes behind those of group g; with the first, also for what is before the integers.
template <typename C>
[[gnu::always_inline]] inline void fetch_ahead(const TilePart<C>& part, std::size_t g, std::size_t ahead) {
  constexpr std::size_t kBefore = C::kPartBytes - kPartGroups * C::kGroupBytes;
  if (ahead == 0) return;
  if (g == 0) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kBefore; i += 64) __builtin_prefetch(part.scales + ahead + i);
  }
  const std::uint8_t* planes = part.planes + g * C::kGroupBytes + ahead;
#pragma GCC unroll 16
  for (std::size_t i = 0; i < C::kGroupBytes; i += 64) __builtin_prefetch(planes + i);
}

/// A tile's FP8 weights: for each input 16 bytes, then 16 scales for each kF8Block inputs.
struct F8Tile {
  const std::uint8_t* weights;
  const float* scales;

  F8Tile(const LinearTask& task, std::size_t tile)
      : weights(task.tiles + tile * task.tile_bytes),
        scales(reinterpret_cast<const float*>(weights + 16 * task.cols)) {}

  /// 256 times the scale: the bytes are widened to a 256th of their value.
  [[nodiscard]] Simd::F scale(std::size_t input) const {
    return Simd::mul(Simd::load(scales + 16 * (input / minke::kernels::kF8Block)), Simd::set1(256.0F));
  }
};

inline void store_output(const LinearTask& task, std::size_t tile, std::size_t row, Simd::F sum) {
  float* y = task.y + row * task.ldy + 16 * tile;
  const std::size_t count = task.outputs - 16 * tile;
  if (count >= 16) {
    if (task.bias != nullptr) sum = Simd::add(sum, Simd::load(task.bias + 16 * tile));
    Simd::store(y, sum);
  } else {
    if (task.bias != nullptr) sum = Simd::add(sum, Simd::load_partial(task.bias + 16 * tile, count));
    Simd::store_partial(y, sum, count);
  }
}

}  // namespace
