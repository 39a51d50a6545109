// Replies that have come to repeat themselves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace minke::engine {

/// Notices an exactly repeating cycle of tokens: a row whose end is the same `period` tokens over and over, at least
/// kRepeats times and kTokens tokens in all, for any period up to kMaxPeriod. A ruler of 100 dashes is none; the same
/// sentence six times is one. Each token costs kMaxPeriod comparisons, whatever went before it.
class CycleDetector {
 public:
  static constexpr std::size_t kMaxPeriod = 256;
  static constexpr std::size_t kRepeats = 4;
  static constexpr std::size_t kTokens = 128;

  /// `row` has grown by one token, its last. True when it now ends in a cycle.
  bool push(std::span<const std::int32_t> row) noexcept {
    bool found = false;
    const std::size_t last = row.size() - 1;
    for (std::size_t period = 1; period <= kMaxPeriod && period <= last; ++period) {
      std::uint32_t& run = equal_[period - 1];
      run = row[last] == row[last - period] ? run + 1 : 0;
      const std::size_t span = run + period;
      found = found || (run > 0 && span >= kTokens && span >= kRepeats * period);
    }
    return found;
  }

 private:
  std::array<std::uint32_t, kMaxPeriod> equal_{};  ///< last tokens in a row that equal the one a period before
};

}  // namespace minke::engine
