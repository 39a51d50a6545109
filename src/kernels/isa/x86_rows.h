// Rows of small tables put together in 128 bits, for simd_avx2.h and simd_avx512.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

struct X86Rows {
  template <typename Index>
  static __m128i two_eights(const std::uint64_t* table, const Index* index) {
    const __m128i low = _mm_cvtsi64_si128(static_cast<std::int64_t>(table[index[0]]));
    return _mm_insert_epi64(low, static_cast<std::int64_t>(table[index[1]]), 1);
  }
  template <typename Index>
  static __m128i fours(const std::uint32_t* table, const Index* index) {
    __m128i four = _mm_cvtsi32_si128(static_cast<std::int32_t>(table[index[0]]));
    four = _mm_insert_epi32(four, static_cast<std::int32_t>(table[index[1]]), 1);
    four = _mm_insert_epi32(four, static_cast<std::int32_t>(table[index[2]]), 2);
    return _mm_insert_epi32(four, static_cast<std::int32_t>(table[index[3]]), 3);
  }
};

}  // namespace
