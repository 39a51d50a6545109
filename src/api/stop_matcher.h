// Finds stop sequences in a text that arrives in pieces.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minke::api {

/// However the text is cut, the result is the same: it ends before the stop sequence that is complete first (of several
/// complete at one byte, before the longest). One pass, constant work per byte and sequence (Knuth, Morris, Pratt 1977:
/// each sequence's state is how much of it the text so far ends with). What may become a stop sequence is held back.
class StopMatcher {
 public:
  /// No sequence is empty.
  explicit StopMatcher(std::span<const std::string> stops);

  /// Text that is certain to come before any stop sequence; nothing more once found().
  std::string push(std::string_view text);
  /// The end of the text: what was held back.
  std::string finish();

  bool found() const noexcept { return stop_.has_value(); }
  /// The sequence that was found.
  const std::optional<std::string>& stop() const noexcept { return stop_; }

 private:
  struct Automaton {
    std::string stop;
    std::vector<std::size_t> fallback;  // the longest proper prefix that stop[0..i] also ends with
    std::size_t matched = 0;
    void step(char c) noexcept;
  };

  std::vector<Automaton> automata_;
  std::string held_;
  std::optional<std::string> stop_;
};

}  // namespace minke::api
