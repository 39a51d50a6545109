// What this machine's cores can compute at most, measured.
#pragma once

#include "base/thread_pool.h"
#include "kernels/isa.h"

namespace minke::kernels {

/// Operations per second of all the pool's threads together; a multiply-add counts as two. 0: there is no such form.
struct Peak {
  double fp32 = 0;  ///< fused multiply-adds on floats
  double int8 = 0;  ///< 8-bit products into int32
  double int4 = 0;  ///< 4-bit by 8-bit products with sums in int16 (AVX2)

  /// The best for 4-bit weights.
  double four_bit() const { return int4 > int8 ? int4 : int8; }
};

/// The best of a few tries on registers, about 0.1 s for each figure. Error(unsupported) when `isa` cannot run here.
Peak measure_peak(Isa isa, base::ThreadPool& pool);

}  // namespace minke::kernels
