// Random weights as bytes of a file. A value depends on (seed, tensor's name, place) alone: the same on every machine,
// in whatever order and by however many threads a checkpoint is written.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/codec.h"
#include "synth/plan.h"

namespace minke::synth {

/// A normal distribution by 65,536 quantiles, and what each type makes of it.
class ValueTables {
 public:
  ValueTables();

  /// The quantile of (i + 1/2) / 65536.
  std::span<const float> normal() const noexcept { return normal_; }

  /// E4M3 codes of kF8Deviation times the normal.
  static constexpr double kF8Deviation = 100;
  std::span<const std::uint8_t> f8() const noexcept { return f8_; }

  /// The integers of a quantised type: for each of 256 quantiles the code nearest to it. `deviation` and `mean` are
  /// those of the values (code, less the type's zero, through the codebook).
  struct Codes {
    std::uint8_t code[256];
    double mean = 0, deviation = 1;
  };
  const Codes& codes(formats::DType dtype) const noexcept { return codes_[static_cast<std::size_t>(dtype)]; }

 private:
  std::vector<float> normal_;
  std::vector<std::uint8_t> f8_;
  std::vector<Codes> codes_;
};

/// The unit in which a tensor is cut for filling: chunks start and end at multiples of it (in elements).
std::uint64_t fill_unit(formats::DType dtype);

/// Writes elements [first, first + count) of a tensor, in its file's form, to `out`. `first` is a multiple of
/// fill_unit; so is `count`, except at the tensor's end.
void fill_values(const PlannedTensor& tensor, const ValueTables& tables, std::uint64_t seed, std::uint64_t first,
                 std::uint64_t count, std::byte* out) noexcept;

}  // namespace minke::synth
