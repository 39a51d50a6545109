// The tiles of Intel AMX. Own assembly: GCC 12's _tile_loadconfig tells the compiler of 8 of the 64 bytes that it
// reads, and its loads and stores of nothing, so that what they read may not have been written yet.
//
// tests/kernels/amx_test.cc has the same in plain C++, which says what each of these does. Included by isa_amx.cc
// alone.
#pragma once

#include <cstddef>

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
};

}  // namespace
