// Regular expressions for finding answers in replies: small, and bounded whatever pattern and text are.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minke::text {

/// A pattern over bytes, matched by simulating its automaton (Pike 1993): work is at most text times pattern, memory
/// the pattern's size. Perl's syntax and its preferences among matches: | * + ? {m,n} and their lazy forms, ( ) (?: ),
/// [ ] with ranges and ^, . (any byte but a newline), \d \w \s \D \W \S \n \r \t, \ before punctuation, ^ and $ for the
/// text's ends. Characters beyond ASCII stand for their bytes, and not in [ ]. What it does not know it refuses.
class Pattern {
 public:
  static constexpr std::size_t kMaxPattern = 1024;     ///< bytes
  static constexpr std::size_t kMaxProgram = 20000;    ///< instructions, counted repetitions written out
  static constexpr std::uint64_t kMaxWork = 20000000;  ///< instructions of one search: under a second

  /// Error(invalid_argument) says where and what.
  explicit Pattern(std::string_view pattern);

  struct Match {
    std::size_t begin = 0, end = 0;
    std::optional<std::string_view> group;  ///< what the first group matched
  };
  /// The last of the matches that do not overlap, each the leftmost after the one before. Error(overloaded) when
  /// that takes more than kMaxWork.
  std::optional<Match> find_last(std::string_view text) const;

 private:
  enum class Op : std::uint8_t { bytes, split, jump, save, text_begin, text_end, match };
  struct Instruction {
    Op op;
    std::uint32_t first = 0, second = 0;  ///< split: preferred, other; jump: where; bytes: the set; save: the slot
  };
  static constexpr std::size_t kSlots = 4;  // whole match, first group
  static constexpr std::size_t kUnset = ~std::size_t{0};
  struct Thread {
    std::uint32_t at = 0;
    std::size_t slots[kSlots] = {kUnset, kUnset, kUnset, kUnset};
  };
  struct Scratch;
  friend class PatternParser;

  void follow(Scratch& scratch, std::vector<Thread>& into, Thread thread, std::string_view text,
              std::size_t position) const;
  std::optional<Thread> search(Scratch& scratch, std::string_view text, std::size_t from) const;

  std::vector<Instruction> program_;
  std::vector<std::bitset<256>> sets_;
};

}  // namespace minke::text
