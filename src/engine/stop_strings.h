// Stop strings: texts that end a reply, looked for in the bytes of its tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minke::engine {

inline constexpr std::size_t kMaxStopStrings = 64;
inline constexpr std::size_t kMaxStopStringBytes = 1024;

/// Several strings at once, each by Knuth, Morris and Pratt: a byte is looked at once and never again, however the text
/// is cut into tokens.
class StopStrings {
 public:
  StopStrings() = default;
  /// Errors (invalid_argument): an empty string, too many, too long ones.
  explicit StopStrings(std::vector<std::string> strings);

  bool empty() const noexcept { return patterns_.empty(); }

  /// How much of each string the text so far ends with.
  struct State {
    std::vector<std::uint32_t> matched;
  };
  State start() const { return {std::vector<std::uint32_t>(patterns_.size())}; }

  struct Found {
    std::size_t index = 0;  ///< of the string: of several that end at the same byte the longest
    std::size_t size = 0;   ///< of the string
    std::size_t used = 0;   ///< bytes of the last piece up to the string's end
  };
  /// Goes on to the first byte at which a string is complete, or to the piece's end. Allocates nothing.
  std::optional<Found> feed(State& state, std::string_view piece) const noexcept;
  /// Bytes at the text's end that may still become a string.
  static std::size_t open(const State& state) noexcept;

 private:
  struct Pattern {
    std::string text;
    std::vector<std::uint32_t> fallback;  ///< [i]: the longest proper beginning that text[0..i] ends with
  };
  std::vector<Pattern> patterns_;
};

}  // namespace minke::engine
