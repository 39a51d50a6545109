// Self-consistency (Wang et al. 2022): of several replies to one question, the answer that most of them give.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace minke::cli {

/// How a reply's answer is found in its content (thinking left out).
class AnswerRule {
 public:
  static constexpr std::size_t kMaxPattern = 1024;  ///< bytes
  /// Of a pattern's program and its automata. RE2 takes a work that is at most the product of program and text.
  static constexpr std::size_t kMaxMemory = std::size_t{2} << 20;
  /// A pattern is looked for in so much of a reply's end, where an answer stands.
  static constexpr std::size_t kMaxSearched = std::size_t{64} << 10;
  /// Of the searches for one reply's matches, each of which may read on to the end.
  static constexpr double kMaxSeconds = 2;

  /// "last-number", "boxed" or "regex:PATTERN", in RE2's syntax, over UTF-8; Error(invalid_argument) otherwise.
  static AnswerRule parse(std::string_view name);

  /// None when there is none. Equal answers have equal texts:
  ///  - last-number: the last decimal number; "1,234.50" and "+1234.5" are "1234.5";
  ///  - boxed: what the last \boxed{...} holds, without blanks;
  ///  - regex: the first group of the last of the matches that do not overlap, or the whole match where there is no
  ///    group; without blanks around it. Error(overloaded) after kMaxSeconds.
  std::optional<std::string> extract(std::string_view content) const;

 private:
  enum class Kind { last_number, boxed, regex };
  Kind kind_ = Kind::last_number;
  std::shared_ptr<const re2::RE2> pattern_;  ///< copies share it
};

struct Vote {
  std::optional<std::string> answer;                ///< none when no reply has one
  std::size_t votes = 0;                            ///< replies that give it
  std::size_t winner = 0;                           ///< the first of them; 0 when there is none
  std::vector<std::optional<std::string>> answers;  ///< of each reply
};

/// Of equally frequent answers the one that was given first.
Vote vote(std::span<const std::string> contents, const AnswerRule& rule);

}  // namespace minke::cli
