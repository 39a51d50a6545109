// Decoding of the types whose integers are indices into a table (codec.h: IQ1, IQ2, IQ3). Included by the isa_*.cc
// after tile.inl.
//
// Looking up is scalar: one load of an index, one of its entry, one or two stores per 8 (IQ3: 4) inputs. Gathers
// take as long on Zen 4 and several times as long on Intel's processors since the mitigation of "Downfall". So a
// tile is decoded once for all rows, a part at a time: the vectors that follow would wait for stores just made.

#include "kernels/codec_grids.h"

namespace {

template <typename C>
[[gnu::always_inline]] inline const auto& grid_table() {
  using minke::kernels::Grid;
  using minke::kernels::kGridTables;
  constexpr Grid kTable = C::kSpec.grid.table;
  if constexpr (kTable == Grid::iq1) {
    return kGridTables.iq1;
  } else if constexpr (kTable == Grid::iq2_xxs) {
    return kGridTables.iq2_xxs;
  } else if constexpr (kTable == Grid::iq2_xs) {
    return kGridTables.iq2_xs;
  } else if constexpr (kTable == Grid::iq2_s) {
    return kGridTables.iq2_s;
  } else if constexpr (kTable == Grid::iq3_xxs) {
    return kGridTables.iq3_xxs;
  } else {
    static_assert(kTable == Grid::iq3_s);
    return kGridTables.iq3_s;
  }
}

/// The word of group g's high index bits, of output n.
template <typename C>
[[gnu::always_inline]] inline std::uint32_t grid_word(const std::uint8_t* words, std::size_t g, std::size_t n) {
  constexpr int kBits = C::kSpec.grid.word_bits;
  if constexpr (kBits == 4) return words[16 * (g / 2) + n] >> (4 * (g % 2));
  if constexpr (kBits == 8) return words[16 * g + n];
  if constexpr (kBits == 16) return words[32 * g + n] | std::uint32_t{words[32 * g + 16 + n]} << 8;
  return 0;
}

/// The codes of group g, signs not among them except IQ1's shift, as steps [8][16 outputs][4 inputs].
template <typename C>
[[gnu::always_inline]] inline void look_up_group(const std::uint8_t* words, const std::uint8_t* low, std::size_t g,
                                                 std::uint8_t* codes) {
  constexpr auto kGrid = C::kSpec.grid;
  constexpr std::size_t kInputs = 8 / C::kLow, kIndices = 32 / kInputs;
  constexpr std::uint32_t kMask = (1U << kGrid.high_bits) - 1U;
  const auto& table = grid_table<C>();
  for (std::size_t n = 0; n < 16; ++n) {
    const std::uint32_t word = grid_word<C>(words, g, n);
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kIndices; ++j) {
      const std::uint32_t high = word >> (static_cast<std::size_t>(kGrid.high_step) * j) & kMask;
      auto entry = table[low[16 * j + n] | high << 8];
      if constexpr (kGrid.table == minke::kernels::Grid::iq1) {
        const std::size_t shift = C::kForm == ScaleForm::odd_word ? 15 : 4 * j + 3;
        entry |= (0 - std::uint64_t{word >> shift & 1U}) & 0x0808080808080808U;
      }
      std::memcpy(codes + 8 * kInputs * 2 * j + 4 * n, &entry, 4);
      if constexpr (kInputs == 8) {
        entry >>= 32;
        std::memcpy(codes + 64 * (2 * j + 1) + 4 * n, &entry, 4);
      }
    }
  }
}

/// What add_high_bits() has to know of the signs' plane.
struct SignBits {
  static constexpr int kHigh = 1, kLow = 3;
};

/// Decodes a part, a whole block of 256 inputs: eight steps of integers per group.
template <typename C>
void decode_grid(const TilePart<C>& part, Simd::B (*w)[8]) {
  alignas(64) std::uint8_t codes[kPartGroups][512];
  const std::uint8_t* words = part.scales + C::kScaleBytes - 16 * C::kSpec.grid.word_bits;
  for (std::size_t g = 0; g < kPartGroups; ++g) look_up_group<C>(words, part.planes + g * C::kGroupBytes, g, codes[g]);
  for (std::size_t g = 0; g < kPartGroups; ++g) {
    Simd::B steps[8];
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) steps[s] = Simd::load_bytes(codes[g] + 64 * s);
    if constexpr (C::kHigh == 1) add_high_bits<SignBits, 0>(part.planes + g * C::kGroupBytes + 64 * C::kLow, steps);
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) w[g][s] = Simd::lookup(kCodebook<C::kSpec.codebook>.v, steps[s]);
  }
}

}  // namespace
