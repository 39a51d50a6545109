#include "engine/dry.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace minke::engine {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

// Larger ones would leave the range of floats: so lowered, a token is never drawn beside others.
constexpr double kMostPenalty = 1e20;

void check(std::string_view field, double value, double least, double most) {
  if (!(value >= least && value <= most))
    throw Error(ErrorCode::invalid_argument, cat("dry.", field, ": expected ", least, " to ", most, ", got ", value));
}

/// Tokens at the end of the history that a match may cover: those after the last breaker.
std::size_t reach(const DryParams& params, std::span<const std::int32_t> history) noexcept {
  std::size_t most = std::min(history.size(), DryParams::kLongest);
  for (const auto& breaker : params.breakers)
    for (std::size_t after = 0; after < most && after + breaker.size() <= history.size(); ++after) {
      const auto end = history.end() - static_cast<std::ptrdiff_t>(after);
      if (std::equal(breaker.begin(), breaker.end(), end - static_cast<std::ptrdiff_t>(breaker.size()), end))
        most = after;
    }
  return most;
}

bool breaks(const DryParams& params, std::int32_t token) noexcept {
  return std::any_of(params.breakers.begin(), params.breakers.end(),
                     [token](const auto& breaker) { return breaker.size() == 1 && breaker[0] == token; });
}

/// In double and by multiplication: the same bits everywhere.
float penalty(const DryParams& params, std::size_t length) noexcept {
  double value = params.multiplier;
  for (auto i = static_cast<std::size_t>(params.allowed_length); i < length; ++i) value *= params.base;
  return static_cast<float>(std::min(value, kMostPenalty));
}

}  // namespace

void DryParams::validate() const {
  check("multiplier", multiplier, 0, 100);
  check("base", base, 1, 10);
  check("allowed_length", static_cast<double>(allowed_length), 1, 1000);
  check("range", static_cast<double>(range), 0, 1e9);
  check("breakers' number", static_cast<double>(breakers.size()), 0, static_cast<double>(kMaxBreakers));
  for (const auto& breaker : breakers)
    check("breaker's length", static_cast<double>(breaker.size()), 1, static_cast<double>(kMaxBreakerTokens));
}

void apply_dry(const DryParams& params, std::span<const std::int32_t> history, std::span<float> logits,
               std::span<std::uint8_t> scratch) noexcept {
  if (params.range > 0 && static_cast<std::size_t>(params.range) < history.size())
    history = history.last(static_cast<std::size_t>(params.range));
  if (history.size() < 2) return;
  const std::size_t most = reach(params, history);
  if (most == 0) return;
  const std::size_t last = history.size() - 1;
  for (std::size_t i = 0; i < last; ++i) {
    if (history[i] != history[last]) continue;
    const auto next = static_cast<std::size_t>(history[i + 1]);
    if (next >= logits.size() || breaks(params, history[i + 1])) continue;
    std::size_t length = 1;
    while (length < most && length <= i && history[i - length] == history[last - length]) ++length;
    scratch[next] = std::max(scratch[next], static_cast<std::uint8_t>(length));
  }
  for (std::size_t i = 0; i < last; ++i) {
    if (history[i] != history[last]) continue;
    const auto next = static_cast<std::size_t>(history[i + 1]);
    if (next >= logits.size() || scratch[next] == 0) continue;
    if (scratch[next] >= params.allowed_length) logits[next] -= penalty(params, scratch[next]);
    scratch[next] = 0;
  }
}

}  // namespace minke::engine
