// What this machine could do at most: how fast threads read memory and how fast they multiply 8-bit integers,
// measured just before a kernel so that its figure can be given as a share.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/thread_pool.h"
#include "kernels/isa.h"

namespace minke::bench {

/// GB/s of plain sequential reads by all threads of the pool at once, each from its own run of huge pages; best of
/// several passes over more memory than any cache that we meet.
class ReadLimit {
 public:
  ReadLimit() : data_(static_cast<std::byte*>(std::aligned_alloc(kHuge, kBytes))) {
    ::madvise(data_.get(), kBytes, MADV_HUGEPAGE);
    std::memset(data_.get(), 0x5a, kBytes);
  }

  double measure(base::ThreadPool& pool) const {
    // Chunks, so that a thread that is held up for a while does not hold up the pass.
    constexpr std::size_t kChunk = std::size_t{1} << 20;
    double best = 0;
    for (int pass = 0; pass < 5; ++pass) {
      const auto task = [&](std::size_t i) { read(data_.get() + i * kChunk, kChunk); };
      const auto start = std::chrono::steady_clock::now();
      pool.run(kBytes / kChunk, task);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      best = std::max(best, static_cast<double>(kBytes) / 1e9 / took.count());
    }
    return best;
  }

 private:
  static constexpr std::size_t kHuge = std::size_t{2} << 20, kBytes = std::size_t{160} << 20;
  struct Free {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };

#if defined(__x86_64__)
  __attribute__((target("avx2"))) static void read(const std::byte* p, std::size_t bytes) {
    __m256i sum[8] = {};
    for (std::size_t i = 0; i < bytes; i += 256) {
      for (std::size_t k = 0; k < 8; ++k)
        sum[k] = _mm256_xor_si256(sum[k], _mm256_load_si256(reinterpret_cast<const __m256i*>(p + i + 32 * k)));
    }
    for (const __m256i& s : sum) asm volatile("" : : "x"(s));
  }
#else
  static void read(const std::byte* p, std::size_t bytes) {
    std::uint64_t sum[8] = {};
    for (std::size_t i = 0; i < bytes; i += 64) {
      for (std::size_t k = 0; k < 8; ++k) {
        std::uint64_t word;
        std::memcpy(&word, p + i + 8 * k, 8);
        sum[k] ^= word;
      }
    }
    for (const std::uint64_t s : sum) asm volatile("" : : "r"(s));
  }
#endif

  std::unique_ptr<std::byte, Free> data_;
};

/// G multiply-adds/s of fused fp32 multiply-adds from registers, all threads at once; best of several passes. 0 where
/// none is known.
inline double float_limit(kernels::Isa isa, base::ThreadPool& pool) {
#if defined(__x86_64__)
  constexpr long kRounds = 400000;
  const bool wide = isa == kernels::Isa::avx512;
  if (!wide && isa != kernels::Isa::avx2) return 0;
  const auto task = [&](std::size_t) {
    long left = kRounds;
    if (wide) {
      asm volatile(
          "vpxord %%zmm16, %%zmm16, %%zmm16\n\tvpxord %%zmm17, %%zmm17, %%zmm17\n"
          "1:\n"
          ".irp n,0,1,2,3,4,5,6,7,8,9,10,11\n\tvfmadd231ps %%zmm16, %%zmm17, %%zmm\\n\n\t.endr\n"
          "dec %0\n\tjnz 1b"
          : "+r"(left)
          :
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
    } else {
      asm volatile(
          "vxorps %%ymm14, %%ymm14, %%ymm14\n\tvxorps %%ymm15, %%ymm15, %%ymm15\n"
          "1:\n"
          ".irp n,0,1,2,3,4,5,6,7,8,9,10,11\n\tvfmadd231ps %%ymm14, %%ymm15, %%ymm\\n\n\t.endr\n"
          "dec %0\n\tjnz 1b"
          : "+r"(left)
          :
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14",
            "xmm15");
    }
  };
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(pool.size(), task);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const double products = static_cast<double>(kRounds) * 12 * (wide ? 16 : 8) * static_cast<double>(pool.size());
    best = std::max(best, products / 1e9 / took.count());
  }
  return best;
#else
  static_cast<void>(isa), static_cast<void>(pool);
  return 0;
#endif
}

/// G multiply-adds/s of the instruction that an instruction set has for 8-bit integers, from registers, all threads
/// at once: vpdpbusd of 64 bytes; without VNNI vpmaddubsw of 32 bytes and one vpaddw (the ceiling of 4-bit weights,
/// whose sums stay in 16 bits; 8-bit weights need about twice as many instructions). 0 where none is known.
inline double integer_limit(kernels::Isa isa, base::ThreadPool& pool) {
#if defined(__x86_64__)
  constexpr long kRounds = 400000;
  const bool wide = isa == kernels::Isa::avx512;
  if (!wide && isa != kernels::Isa::avx2) return 0;
  const auto task = [&](std::size_t) {
    long left = kRounds;
    if (wide) {
      asm volatile(
          "1:\n"
          ".irp n,0,1,2,3,4,5,6,7,8,9,10,11\n\tvpdpbusd %%zmm16, %%zmm17, %%zmm\\n\n\t.endr\n"
          "dec %0\n\tjnz 1b"
          : "+r"(left)
          :
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
    } else {
      asm volatile(
          "1:\n"
          ".irp n,0,1,2,3,4,5,6,7,8,9,10,11\n\tvpmaddubsw %%ymm14, %%ymm15, %%ymm13\n\t"
          "vpaddw %%ymm13, %%ymm\\n, %%ymm\\n\n\t.endr\n"
          "dec %0\n\tjnz 1b"
          : "+r"(left)
          :
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm13");
    }
  };
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(pool.size(), task);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const double products = static_cast<double>(kRounds) * 12 * (wide ? 64 : 32) * static_cast<double>(pool.size());
    best = std::max(best, products / 1e9 / took.count());
  }
  return best;
#else
  static_cast<void>(isa), static_cast<void>(pool);
  return 0;
#endif
}

}  // namespace minke::bench
