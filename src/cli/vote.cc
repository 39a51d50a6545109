#include "cli/vote.h"

#include <re2/re2.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace minke::cli {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "+0012.50" is "12.5", "-0" is "0".
std::string normal_number(std::string_view sign, std::string_view whole, std::string_view fraction) {
  std::string digits;
  for (const char c : whole)
    if (is_digit(c)) digits.push_back(c);
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) digits.push_back('0');
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  if (!fraction.empty()) digits.append(".").append(fraction);
  return sign == "-" && digits != "0" ? "-" + digits : digits;
}

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/// The sign before a number at `at`, unless it is an operator's: after a letter, a digit or a bracket.
std::string_view sign_before(std::string_view text, std::size_t at) {
  if (at == 0 || (text[at - 1] != '-' && text[at - 1] != '+')) return {};
  const char before = at < 2 ? ' ' : text[at - 2];
  return is_digit(before) || is_letter(before) || before == ')' ? std::string_view() : text.substr(at - 1, 1);
}

std::size_t digits_at(std::string_view text) { return std::min(text.size(), text.find_first_not_of("0123456789")); }

/// A comma and three digits, no more.
bool is_group(std::string_view text) { return text.starts_with(',') && digits_at(text.substr(1)) == 3; }

/// Length of the digits at the beginning with their groups: "1,234,567", but of "1234,567" the first four.
std::size_t whole_number_at(std::string_view text) {
  std::size_t length = digits_at(text);
  if (length == 0 || length > 3) return length;
  while (is_group(text.substr(length))) length += 4;
  return length;
}

/// The last row of digits, with groups of three ("1,234"), a fraction after it and a sign before it. Read forwards, so
/// that a number is never begun in its middle. One pass.
std::optional<std::string> last_number(std::string_view text) {
  std::optional<std::string> last;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t whole = whole_number_at(text.substr(i));
    const std::string_view rest = text.substr(i + whole);
    const std::size_t fraction = rest.starts_with('.') ? digits_at(rest.substr(1)) : 0;
    if (whole == 0 && fraction == 0) {
      ++i;
      continue;
    }
    last = normal_number(sign_before(text, i), text.substr(i, whole), rest.substr(fraction == 0 ? 0 : 1, fraction));
    i += whole + (fraction == 0 ? 0 : 1 + fraction);
  }
  return last;
}

std::optional<std::string> last_boxed(std::string_view text) {
  constexpr std::string_view kMark = "\\boxed{";
  // From the last one backwards: one that is never closed is none. Each byte is read once, as what follows a mark that
  // is not closed has no closing brace to spare for an earlier one but at the same depth.
  for (std::size_t at = text.rfind(kMark); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : text.rfind(kMark, at - 1)) {
    std::size_t depth = 1;
    for (std::size_t i = at + kMark.size(); i < text.size(); ++i) {
      if (text[i] == '{') ++depth;
      if (text[i] == '}' && --depth == 0) {
        std::string answer;
        for (const char c : text.substr(at + kMark.size(), i - at - kMark.size()))
          if (c != ' ' && c != '\t' && c != '\n' && c != '\r') answer.push_back(c);
        return answer;
      }
    }
    text = text.substr(0, at);
  }
  return std::nullopt;
}

std::string trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  return begin == text.size() ? std::string() : std::string(text.substr(begin, end - begin + 1));
}

std::shared_ptr<const re2::RE2> compiled(std::string_view pattern) {
  if (pattern.empty() || pattern.size() > AnswerRule::kMaxPattern)
    throw base::Error(
        base::ErrorCode::invalid_argument,
        base::cat("regular expression: expected 1 to ", AnswerRule::kMaxPattern, " bytes, got ", pattern.size()));
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(static_cast<std::int64_t>(AnswerRule::kMaxMemory));
  auto result = std::make_shared<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (!result->ok())
    throw base::Error(base::ErrorCode::invalid_argument, base::cat("regular expression: ", result->error()),
                      "The syntax is RE2's: https://github.com/google/re2/wiki/Syntax");
  return result;
}

bool inside_character(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

/// The first group, or the whole, of the last match.
std::optional<std::string_view> last_match(const re2::RE2& pattern, std::string_view text) {
  const auto start = std::chrono::steady_clock::now();
  const re2::StringPiece whole(text.data(), text.size());
  const int parts = pattern.NumberOfCapturingGroups() > 0 ? 2 : 1;
  std::optional<std::string_view> last;
  std::size_t from = text.size() - std::min(text.size(), AnswerRule::kMaxSearched);
  while (inside_character(text, from)) ++from;
  while (from <= text.size()) {
    re2::StringPiece found[2];
    if (!pattern.Match(whole, from, text.size(), re2::RE2::UNANCHORED, found, parts)) break;
    const re2::StringPiece& answer = found[parts > 1 && found[1].data() != nullptr ? 1 : 0];
    last = std::string_view(answer.data(), answer.size());
    from = static_cast<std::size_t>(found[0].data() - text.data()) + found[0].size();
    // After an empty one at the next character.
    if (found[0].empty()) ++from;
    while (inside_character(text, from)) ++from;
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > AnswerRule::kMaxSeconds)
      throw base::Error(base::ErrorCode::overloaded, "regular expression: the search takes too long in this reply");
  }
  return last;
}

}  // namespace

AnswerRule AnswerRule::parse(std::string_view name) {
  constexpr std::string_view kRegex = "regex:";
  AnswerRule rule;
  if (name == "last-number") return rule;
  if (name == "boxed") {
    rule.kind_ = Kind::boxed;
  } else if (name.starts_with(kRegex)) {
    rule.kind_ = Kind::regex;
    rule.pattern_ = compiled(name.substr(kRegex.size()));
  } else {
    throw base::Error(base::ErrorCode::invalid_argument,
                      base::cat("vote: expected last-number, boxed or regex:PATTERN, got ", name));
  }
  return rule;
}

std::optional<std::string> AnswerRule::extract(std::string_view content) const {
  if (kind_ == Kind::last_number) return last_number(content);
  if (kind_ == Kind::boxed) return last_boxed(content);
  const std::optional<std::string_view> match = last_match(*pattern_, content);
  if (!match) return std::nullopt;
  return trimmed(*match);
}

Vote vote(std::span<const std::string> contents, const AnswerRule& rule) {
  Vote result;
  for (const std::string& content : contents) result.answers.push_back(rule.extract(content));
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (!result.answers[i]) continue;
    const auto votes =
        static_cast<std::size_t>(std::count(result.answers.begin(), result.answers.end(), result.answers[i]));
    if (votes > result.votes) {
      result.answer = result.answers[i];
      result.votes = votes;
      result.winner = i;
    }
  }
  return result;
}

}  // namespace minke::cli
