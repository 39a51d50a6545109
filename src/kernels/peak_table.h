// The arithmetic that an instruction set can do at most: multiply-adds on registers, one table per isa/isa_peak_*.cc.
// What `minke bench --kernels` and `minke doctor` compare the kernels with. Under the rules of kernel_table.h.
#pragma once

#include <cstdint>

namespace minke::kernels {

/// Each function runs `steps` steps of independent multiply-adds on values in registers and returns how many
/// operations that was, a multiply-add counting as two. Null: the kernels of this instruction set have no such form.
struct PeakTable {
  std::uint64_t (*fp32)(std::uint64_t steps) noexcept;
  /// 8-bit weights by 8-bit activations into int32, in the form that linear_bytes uses.
  std::uint64_t (*int8)(std::uint64_t steps) noexcept;
  /// 4-bit weights by 8-bit activations where that is faster than int8: sums kept in int16 for eight steps.
  std::uint64_t (*int4)(std::uint64_t steps) noexcept;
};

extern const PeakTable kScalarPeakTable;
#if defined(__x86_64__)
extern const PeakTable kAvx2PeakTable;
extern const PeakTable kAvx512PeakTable;
extern const PeakTable kAmxPeakTable;  ///< int8 alone
#endif

}  // namespace minke::kernels
