// Self-consistency (Wang et al. 2022): of several replies to one question, the answer that most of them give.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/pattern.h"

namespace minke::text {

/// How a reply's answer is found in its content (thinking left out).
class AnswerRule {
 public:
  /// "last-number", "boxed" or "regex:PATTERN" (pattern.h: the last match's first group, or the whole match);
  /// Error(invalid_argument) otherwise.
  static AnswerRule parse(std::string_view name);

  /// None when there is none. Equal answers have equal texts:
  ///  - last-number: the last decimal number; "1,234.50" and "+1234.5" are "1234.5";
  ///  - boxed: what the last \boxed{...} holds, without blanks;
  ///  - regex: without blanks around it.
  std::optional<std::string> extract(std::string_view content) const;

 private:
  enum class Kind { last_number, boxed, regex };
  Kind kind_ = Kind::last_number;
  std::optional<Pattern> pattern_;
};

struct Vote {
  std::optional<std::string> answer;                ///< none when no reply has one
  std::size_t votes = 0;                            ///< replies that give it
  std::size_t winner = 0;                           ///< the first of them; 0 when there is none
  std::vector<std::optional<std::string>> answers;  ///< of each reply
};

/// Of equally frequent answers the one that was given first.
Vote vote(std::span<const std::string> contents, const AnswerRule& rule);

}  // namespace minke::text
