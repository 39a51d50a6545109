// The tiles of Intel AMX. Own assembly: GCC 12's _tile_loadconfig tells the compiler of 8 of the 64 bytes that it
// reads, and its loads and stores of nothing, so that what they read may not have been written yet.
//
// tests/kernels/tiles_twin.h has the same in plain C++, which says what each of these does. Included by isa_amx.cc
// alone.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/codec.h"
#include "kernels/isa/tile_config.h"

namespace {

/// The bytes of what an FP8 number without its sign is in BF16; where the bytes of widen_f8's result come from, those
/// of the upper halves counting from 64.
struct F8Bytes {
  alignas(64) std::uint8_t low[128], high[128], order[128];

  constexpr F8Bytes() : low{}, high{}, order{} {
    for (std::size_t i = 0; i < 128; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(minke::kernels::f8_to_float(static_cast<std::uint8_t>(i)));
      low[i] = static_cast<std::uint8_t>(bits >> 16);
      high[i] = static_cast<std::uint8_t>(bits >> 24);
      const std::size_t half = i / 2 % 32, input = i / 64 * 2 + half % 2;
      order[i] = static_cast<std::uint8_t>(16 * input + half / 2 + i % 2 * 64);
    }
  }
};
constexpr F8Bytes kF8Bytes{};

class AmxTiles {
 public:
  explicit AmxTiles(const TileConfig& config) { __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory"); }
  ~AmxTiles() { __asm__ volatile("tilerelease" : : : "memory"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  template <int kTile>
  void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  template <int kTile>
  void load(const void* from, std::size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  void store(void* to, std::size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  /// kTo[m][n] += sum of kA[m][4 k + i] * kB[k][4 n + i], signed bytes, in 32 bits.
  template <int kTo, int kA, int kB>
  void add_products() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kTo), "i"(kA), "i"(kB));
  }
  /// kTo[m][n] += sum of kA[m][2 k + i] * kB[k][2 n + i], BF16, in fp32: even inner indices and odd ones each by fused
  /// multiply-adds from zero, then their sum, added. Subnormals are zero.
  template <int kTo, int kA, int kB>
  void add_bf16_products() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kTo), "i"(kA), "i"(kB));
  }

  /// 32 numbers as BF16: to nearest even; subnormals become zero.
  static void round_bf16(__m512 first, __m512 second, std::uint16_t* to) {
    const __m512bh halves = _mm512_cvtne2ps_pbh(second, first);
    __builtin_memcpy(to, &halves, sizeof halves);
  }
  /// FP8 (E4M3) weights [4 inputs][16] as BF16 [2][16][2 inputs].
  static void widen_f8(const std::uint8_t* from, std::uint16_t* to) {
    const __m512i x = _mm512_loadu_si512(from);
    const __m512i low = _mm512_permutex2var_epi8(load(kF8Bytes.low), x, load(kF8Bytes.low + 64));
    const __m512i magnitude = _mm512_permutex2var_epi8(load(kF8Bytes.high), x, load(kF8Bytes.high + 64));
    constexpr int kFirstOrSecondAndThird = 0xf8;
    const __m512i high = _mm512_ternarylogic_epi32(magnitude, x, _mm512_set1_epi8(-128), kFirstOrSecondAndThird);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi8(low, load(kF8Bytes.order), high));
    _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi8(low, load(kF8Bytes.order + 64), high));
  }

 private:
  static __m512i load(const std::uint8_t* from) { return _mm512_loadu_si512(from); }
};

}  // namespace
