// What the machine can do at most, measured in the same run as what is compared with it.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/thread_pool.h"
#include "formats/dtype.h"
#include "kernels/isa.h"
#include "kernels/numerics.h"
#include "kernels/peak.h"

namespace minke::cli {

struct Limits {
  double read_bandwidth = 0;  ///< bytes per second
  kernels::Peak peak;
  kernels::Isa isa = kernels::Isa::scalar;  ///< whose peak it is
};

Limits measure_limits(kernels::Isa isa, base::ThreadPool& pool);

/// The arithmetic that bounds a product over weights of `dtype`: its name, and operations per second.
struct ArithmeticLimit {
  const char* name = "fp32";
  double rate = 0;
};
ArithmeticLimit arithmetic_limit(const Limits& limits, formats::DType dtype, kernels::Numerics numerics);

/// Seconds of one call: the least of `samples` samples, each of enough calls to take about 10 ms; fewer samples of
/// what takes seconds.
template <typename Work>
double seconds_of(const Work& work, int samples = 5) {
  using Clock = std::chrono::steady_clock;
  constexpr double kSampleSeconds = 0.01, kMostSeconds = 4;
  std::size_t calls = 1;
  double best = std::numeric_limits<double>::infinity(), spent = 0;
  for (int taken = 0; taken < samples && (spent < kMostSeconds || taken == 0);) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < calls; ++i) work();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    spent += seconds;
    if (seconds < kSampleSeconds) {
      calls *= 2;  // also warms up
      continue;
    }
    best = std::min(best, seconds / static_cast<double>(calls));
    ++taken;
  }
  return best;
}

}  // namespace minke::cli
