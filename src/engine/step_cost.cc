#include "engine/step_cost.h"

#include <algorithm>

namespace minke::engine {
namespace {

/// The newest measurement's weight: a dozen steps forget the past, one hiccup does not.
constexpr double kNewest = 0.2;

/// `rows` beside `decoding` ones, so changed that all are a multiple of `run`: the nearest of half runs, the next of
/// whole ones.
std::size_t whole_runs(std::size_t decoding, std::size_t rows, std::size_t run) noexcept {
  const std::size_t up = run == StepCost::kRun ? run - 1 : run / 2;
  const std::size_t all = (decoding + rows + up) / run * run;
  return all > decoding ? all - decoding : rows;
}

void blend(double& mean, double value) noexcept { mean = mean == 0 ? value : mean + kNewest * (value - mean); }

}  // namespace

void StepCost::learn(std::size_t decode_rows, std::size_t prefill_rows, double seconds) noexcept {
  const std::size_t rows = decode_rows + prefill_rows;
  if (rows == 0) return;
  blend(row_seconds_, seconds / static_cast<double>(rows));
  if (prefill_rows == 0) {
    blend(decode_[std::min(decode_rows, decode_.size() - 1)], seconds);
  } else if (prefill_rows >= kLeastRows || decode_rows == 0) {
    const double alone = decode_rows == 0 ? 0 : decode_seconds(decode_rows);
    blend(prefill_row_, std::max(seconds - alone, 0.1 * seconds) / static_cast<double>(prefill_rows));
  }
}

/// Of the nearest number of rows that was seen; 0: none was.
double StepCost::decode_seconds(std::size_t rows) const noexcept {
  rows = std::min(rows, decode_.size() - 1);
  for (std::size_t distance = 0; distance < decode_.size(); ++distance) {
    if (rows >= distance && decode_[rows - distance] > 0) return decode_[rows - distance];
    if (rows + distance < decode_.size() && decode_[rows + distance] > 0) return decode_[rows + distance];
  }
  return 0;
}

double StepCost::expected_seconds(std::size_t rows) const noexcept {
  /// Where no prompt was seen: decoding reads the weights once for all rows, so that one more adds little.
  constexpr double kRowShare = 1.0 / 32;
  rows = std::min(rows, decode_.size() - 1);
  std::size_t below = rows, above = rows;
  while (below > 0 && decode_[below] == 0) --below;
  while (above < decode_.size() && decode_[above] == 0) ++above;
  const bool known_above = above < decode_.size();
  if (decode_[below] == 0) return known_above ? decode_[above] : 0;
  const auto further = static_cast<double>(rows - below);
  if (!known_above) return decode_[below] + further * (prefill_row_ > 0 ? prefill_row_ : kRowShare * decode_[below]);
  if (above == below) return decode_[below];
  return decode_[below] + (decode_[above] - decode_[below]) * further / static_cast<double>(above - below);
}

std::size_t StepCost::prefill_rows(std::size_t decoding, std::size_t prefilling) const noexcept {
  if (decoding == 0 || prefilling == 0) return options_.most_rows;
  const double alone = decode_seconds(decoding);
  if (alone == 0) return 0;  // one step without prompts tells
  if (prefill_row_ == 0) return std::min(kLeastRows, options_.most_rows);
  const double crowd = std::max(1.0, static_cast<double>(prefilling) / static_cast<double>(decoding));
  const double spare = options_.target > 0 ? options_.target - alone : kSlowdown * crowd * alone;
  const double rows = std::min(spare / prefill_row_, static_cast<double>(options_.most_rows));
  const std::size_t some = std::max(rows > 0 ? static_cast<std::size_t>(rows) : 0, kLeastRows);
  const std::size_t whole = whole_runs(decoding, some, prefilling > decoding ? kRun : kHalfRun);
  return std::min(whole, options_.most_rows);
}

}  // namespace minke::engine
