#include "engine/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace minke::engine {

using base::cat;
using base::Error;
using base::ErrorCode;

StopStrings::StopStrings(std::vector<std::string> strings) {
  if (strings.size() > kMaxStopStrings)
    throw Error(ErrorCode::invalid_argument,
                cat("stop_strings: expected at most ", kMaxStopStrings, ", got ", strings.size()));
  patterns_.reserve(strings.size());
  for (std::string& text : strings) {
    if (text.empty() || text.size() > kMaxStopStringBytes)
      throw Error(ErrorCode::invalid_argument,
                  cat("stop_strings: expected 1 to ", kMaxStopStringBytes, " bytes, got ", text.size()));
    Pattern pattern{std::move(text), {}};
    pattern.fallback.resize(pattern.text.size());
    std::uint32_t length = 0;
    for (std::size_t i = 1; i < pattern.text.size(); ++i) {
      while (length > 0 && pattern.text[i] != pattern.text[length]) length = pattern.fallback[length - 1];
      if (pattern.text[i] == pattern.text[length]) ++length;
      pattern.fallback[i] = length;
    }
    patterns_.push_back(std::move(pattern));
  }
}

std::optional<StopStrings::Found> StopStrings::feed(State& state, std::string_view piece) const noexcept {
  for (std::size_t used = 0; used < piece.size(); ++used) {
    std::optional<Found> found;
    for (std::size_t k = 0; k < patterns_.size(); ++k) {
      const Pattern& pattern = patterns_[k];
      std::uint32_t length = state.matched[k];
      // A string that was complete and did not count goes on from what it ends with.
      if (length == pattern.text.size()) length = pattern.fallback[length - 1];
      while (length > 0 && piece[used] != pattern.text[length]) length = pattern.fallback[length - 1];
      if (piece[used] == pattern.text[length]) ++length;
      state.matched[k] = length;
      if (length == pattern.text.size() && (!found || length > found->size))
        found = Found{.index = k, .size = length, .used = used + 1};
    }
    if (found) return found;
  }
  return std::nullopt;
}

std::size_t StopStrings::open(const State& state) noexcept {
  const auto longest = std::max_element(state.matched.begin(), state.matched.end());
  return longest == state.matched.end() ? 0 : *longest;
}

}  // namespace minke::engine
