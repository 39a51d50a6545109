#include "kernels/peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "kernels/peak_table.h"

namespace minke::kernels {
namespace {

using Clock = std::chrono::steady_clock;
using Function = std::uint64_t (*)(std::uint64_t steps) noexcept;

constexpr int kTries = 5;
constexpr double kTrySeconds = 0.02;

PeakTable peak_table(Isa isa) {
  (void)kernel_table(isa);  // throws when this machine cannot run it
#if defined(__x86_64__)
  if (isa == Isa::avx2) return kAvx2PeakTable;
  if (isa == Isa::avx512) return kAvx512PeakTable;
  if (isa == Isa::amx) return {.fp32 = kAvx512PeakTable.fp32, .int8 = kAmxPeakTable.int8, .int4 = nullptr};
#endif
  return kScalarPeakTable;
}

/// Operations per second of one run on all threads.
double run_once(Function function, std::uint64_t steps, base::ThreadPool& pool, double& seconds) {
  std::vector<std::uint64_t> done(pool.size());
  const auto start = Clock::now();
  pool.run(pool.size(), [&](std::size_t thread) { done[thread] = function(steps); });
  seconds = std::max(std::chrono::duration<double>(Clock::now() - start).count(), 1e-9);
  double operations = 0;
  for (const std::uint64_t count : done) operations += static_cast<double>(count);
  return operations / seconds;
}

double measure(Function function, base::ThreadPool& pool) {
  if (function == nullptr) return 0;
  std::uint64_t steps = 1000;
  double seconds = 0, best = 0;
  while (run_once(function, steps, pool, seconds), seconds < kTrySeconds) steps *= 2;
  for (int i = 0; i < kTries; ++i) best = std::max(best, run_once(function, steps, pool, seconds));
  return best;
}

}  // namespace

Peak measure_peak(Isa isa, base::ThreadPool& pool) {
  const PeakTable table = peak_table(isa);
  return {.fp32 = measure(table.fp32, pool), .int8 = measure(table.int8, pool), .int4 = measure(table.int4, pool)};
}

}  // namespace minke::kernels
