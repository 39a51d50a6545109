// The tiles of Intel AMX. Own assembly: GCC 12's _tile_loadconfig tells the compiler of 8 of the 64 bytes that it
// reads, and its loads and stores of nothing, so that what they read may not have been written yet.
//
// tests/kernels/tiles_twin.h has the same in plain C++, which says what each of these does. Included by isa_amx.cc
// alone.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/tile_config.h"

namespace {

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
};

}  // namespace
