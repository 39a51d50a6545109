// What steps have taken: from it, how many prompt rows may join the next one.
#pragma once

#include <cstddef>
#include <vector>

namespace minke::engine {

/// How large a step may be changes when tokens come, never which: a row's bits depend on no other row.
class StepCost {
 public:
  struct Options {
    std::size_t most_rows = 512;
    /// Seconds between a reply's tokens to aim at while prompts are read; 0: what decoding alone takes, times
    /// 1 + kSlowdown.
    double target = 0;
  };
  /// Of decoding's own time, what prompts may add: measured inter-token times stay under twice those without prompts.
  static constexpr double kSlowdown = 0.75;
  /// Prompt rows of a step at least: fewer would read the weights for too little.
  static constexpr std::size_t kLeastRows = 8;
  /// Products take rows in runs of 16, 8, 4, 2 and 1 and decode the weights for each run: 16 rows take 6.1 ms a row, 8
  /// rows 8.6, and 13 as long as 16 (1.5B Q4_K_M, Zen 4). So steps have a multiple of kHalfRun; and one of kRun while
  /// more wait than read.
  static constexpr std::size_t kRun = 16, kHalfRun = 8;

  StepCost(const Options& options, std::size_t most_decoding) : options_(options), decode_(most_decoding + 1, 0) {}

  /// After a step.
  void learn(std::size_t decode_rows, std::size_t prefill_rows, double seconds) noexcept;

  /// Prompt rows of the next step beside `decoding` rows, when `prefilling` prompts are waiting for their first token.
  /// A waiting reader counts as much as a reading one: while more wait than read, steps may be longer in proportion.
  std::size_t prefill_rows(std::size_t decoding, std::size_t prefilling) const noexcept;

  /// Seconds of a step of so many decode rows: between the numbers that were seen on a line, above them by what a
  /// prompt row adds; 0 before the first step.
  double expected_seconds(std::size_t rows) const noexcept;

  /// Seconds that a prompt row adds to a step; 0: not seen.
  double prefill_row_seconds() const noexcept { return prefill_row_; }

  /// Rows per second, lately; 0 before the first step.
  double rows_per_second() const noexcept { return row_seconds_ > 0 ? 1 / row_seconds_ : 0; }

 private:
  double decode_seconds(std::size_t rows) const noexcept;

  Options options_;
  std::vector<double> decode_;  ///< seconds of a step of so many decode rows alone; 0: not seen
  double prefill_row_ = 0;      ///< seconds that a prompt row adds; 0: not seen
  double row_seconds_ = 0;      ///< seconds per row of any kind
};

}  // namespace minke::engine
