// DRY: a penalty on tokens that would go on repeating what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace minke::engine {

/// "Don't repeat yourself" (P. E. Weidmann, text-generation-webui, 2024): where the history ends in m tokens that stood
/// there before, the token that followed them then is lowered by multiplier * base^(m - allowed_length), m the longest
/// such match, at least allowed_length and at most kLongest.
struct DryParams {
  double multiplier = 0;            ///< [0, 100]; 0: off
  double base = 1.75;               ///< [1, 10]
  std::int64_t allowed_length = 2;  ///< [1, 1000]: matches shorter than this are no repetition
  std::int64_t range = 0;           ///< so many last tokens of the history, prompt included, are looked at; 0: all
  /// Matches do not reach over these: single tokens or rows of them (newlines, colons, quotes). A single one is also
  /// never lowered.
  std::vector<std::vector<std::int32_t>> breakers;

  static constexpr std::size_t kLongest = 50;  ///< as there: the exponent stays small, and so does the work
  static constexpr std::size_t kMaxBreakers = 256;
  static constexpr std::size_t kMaxBreakerTokens = 32;  ///< of one

  /// Errors (invalid_argument) name the field.
  void validate() const;
};

/// `logits` and `scratch`: (vocab); scratch is all zero before and after. Two passes over the history, and kLongest
/// comparisons for each place where its last token stood before.
void apply_dry(const DryParams& params, std::span<const std::int32_t> history, std::span<float> logits,
               std::span<std::uint8_t> scratch) noexcept;

}  // namespace minke::engine
