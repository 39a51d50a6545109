// Decoding of the types whose integers are indices into a table (codec.h: IQ1, IQ2, IQ3). Included by the isa_*.cc
// after tile.inl.
//
// Indices are put together as vectors and looked up one by one: loads that insert into a vector, 0.26 ns each on Zen 4
// (AVX-512), where gathers of 16 take 0.44 ns each and a copy through memory 0.52; on Intel's processors gathers cost
// several times as much since the mitigation of "Downfall".

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

/// A value for each of a tile's outputs. Vectors of the compiler, which has them for every instruction set.
using OutputBytes [[gnu::vector_size(16)]] = std::uint8_t;
using OutputHalves [[gnu::vector_size(32)]] = std::uint16_t;
using OutputWords [[gnu::vector_size(64)]] = std::uint32_t;

template <typename To>
[[gnu::always_inline]] inline void load_outputs(const std::uint8_t* from, To& to) {
  OutputBytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  to = __builtin_convertvector(bytes, To);
}

/// The words of group g's high index bits.
template <typename C>
[[gnu::always_inline]] inline void load_words(const std::uint8_t* words, std::size_t g, OutputHalves& out) {
  constexpr int kBits = C::kSpec.grid.word_bits;
  if constexpr (kBits == 4) {
    load_outputs(words + 16 * (g / 2), out);
    out >>= static_cast<std::uint16_t>(4 * (g % 2));
  } else if constexpr (kBits == 8) {
    load_outputs(words + 16 * g, out);
  } else {
    static_assert(kBits == 16);
    OutputHalves high;
    load_outputs(words + 32 * g, out);
    load_outputs(words + 32 * g + 16, high);
    out |= high << 8;
  }
}

/// Where the codes of a group's inputs stand in the table: [32 / inputs of a row][16 outputs].
template <typename C, std::size_t kIndices>
[[gnu::always_inline]] inline void find_rows(const OutputHalves& words, const std::uint8_t* low, std::uint16_t* rows) {
  constexpr auto kGrid = C::kSpec.grid;
  constexpr std::uint16_t kMask = (1U << kGrid.high_bits) - 1U;
#pragma GCC unroll 8
  for (std::size_t j = 0; j < kIndices; ++j) {
    OutputHalves row;
    load_outputs(low + 16 * j, row);
    row |= ((words >> static_cast<std::uint16_t>(static_cast<std::size_t>(kGrid.high_step) * j)) & kMask) << 8;
    std::memcpy(rows + 16 * j, &row, sizeof row);
  }
}

/// The steps of a group's codes, from where they stand in the table.
template <std::size_t kIndices, typename Entry, std::size_t kCount, typename Row>
[[gnu::always_inline]] inline void look_up_steps(const Entry (&table)[kCount], const Row* rows, Simd::B* w) {
#pragma GCC unroll 8
  for (std::size_t j = 0; j < kIndices; ++j) {
    if constexpr (kIndices == 8) {
      w[j] = Simd::look_up_fours(table, rows + 16 * j);
    } else {
      Simd::look_up_eights(table, rows + 16 * j, w[2 * j], w[2 * j + 1]);
    }
  }
}

/// Bit 3 of an IQ1 step's codes, set where `bit` of their output's word says that the shift is the negative one.
[[gnu::always_inline]] inline Simd::B shift_bits(const OutputHalves& words, unsigned bit) {
  const OutputWords shift = ((__builtin_convertvector(words, OutputWords) >> bit) & 1U) * 0x08080808U;
  alignas(64) std::uint8_t bytes[64];
  std::memcpy(bytes, &shift, sizeof bytes);
  return Simd::load_bytes(bytes);
}

/// What add_high_bits() has to know of the signs' plane.
struct SignBits {
  static constexpr int kHigh = 1, kLow = 3;
};

/// Eight steps of unsigned integers of group g of a block; `words`: of the block.
template <typename C>
[[gnu::always_inline]] inline void decode_grid(const std::uint8_t* words, const std::uint8_t* planes, std::size_t g,
                                               Simd::B* w) {
  constexpr auto kGrid = C::kSpec.grid;
  constexpr std::size_t kIndices = 4 * C::kLow;
  const auto& table = grid_table<C>();
  OutputHalves high = {};
  if constexpr (kGrid.high_bits == 0) {
    look_up_steps<kIndices>(table, planes, w);
  } else {
    alignas(64) std::uint16_t rows[16 * kIndices];
    load_words<C>(words, g, high);
    find_rows<C, kIndices>(high, planes, rows);
    // They are to be read from memory, one load each: taken from the vectors they would cost two operations more.
    asm("" : "+m"(rows));
    look_up_steps<kIndices>(table, rows, w);
  }
  if constexpr (kGrid.table == minke::kernels::Grid::iq1) {
    constexpr bool kOne = C::kForm == ScaleForm::odd_word;
#pragma GCC unroll 4
    for (std::size_t j = 0; j < kIndices; ++j) {
      const Simd::B shift = shift_bits(high, kOne ? 15 : 4 * static_cast<unsigned>(j) + 3);
      w[2 * j] = Simd::or_bytes(w[2 * j], shift);
      w[2 * j + 1] = Simd::or_bytes(w[2 * j + 1], shift);
    }
  }
  if constexpr (C::kHigh == 1) add_high_bits<SignBits, 0>(planes + 64 * C::kLow, w);
#pragma GCC unroll 8
  for (int s = 0; s < 8; ++s) w[s] = Simd::lookup(kCodebook<C::kSpec.codebook>.v, w[s]);
}

/// Eight steps of group g of a part.
template <typename C>
[[gnu::always_inline]] inline void decode_group_of(const TilePart<C>& part, std::size_t g, Simd::B* w) {
  const std::uint8_t* planes = part.planes + g * C::kGroupBytes;
  if constexpr (C::kGrid) {
    decode_grid<C>(part.scales + C::kScaleBytes - 16 * C::kSpec.grid.word_bits, planes, g, w);
  } else {
    decode_group<C>(planes, w);
  }
}

}  // namespace
