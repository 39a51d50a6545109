#include "kernels/peak.h"

#include <gtest/gtest.h>

#include "kernels/linear_path.h"

namespace minke::kernels {
namespace {

// Rates depend on the machine and what else it does: only what no machine can contradict is held.
TEST(Peak, EveryInstructionSetHasFigures) {
  base::ThreadPool pool(1);
  for (const Isa isa : available_isas()) {
    const Peak peak = measure_peak(isa, pool);
    for (const double rate : {peak.fp32, peak.int8}) {
      EXPECT_GT(rate, 1e6) << to_string(isa);  // an emulator on a busy machine has been seen at 7e7
      EXPECT_LT(rate, 1e14) << to_string(isa);
    }
    EXPECT_GE(peak.four_bit(), peak.int8) << to_string(isa);
  }
}

TEST(LinearPath, NamesTheArithmetic) {
  for (const Isa isa : available_isas()) {
    EXPECT_TRUE(linear_path(isa, formats::DType::q4_k, Numerics::fast).starts_with("int8")) << to_string(isa);
    EXPECT_TRUE(linear_path(isa, formats::DType::q4_k, Numerics::exact).starts_with("fp32")) << to_string(isa);
    EXPECT_TRUE(linear_path(isa, formats::DType::bf16, Numerics::fast).starts_with(isa == Isa::amx ? "bf16" : "fp32"))
        << to_string(isa);
  }
}

}  // namespace
}  // namespace minke::kernels
