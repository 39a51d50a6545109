#include "formats/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "base/read_file.h"

namespace minke::formats {
namespace {

namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;

constexpr std::size_t kMaxDepth = 64;

/// NaN, Infinity and -Infinity, which Python's json module writes and JSON lacks. Each word (without its sign)
/// is overwritten by a number of the same length, so that lines and columns stay, and its offset kept.
class PythonNumbers {
 public:
  /// The text to parse in place of `text`.
  std::string_view rewrite(std::string_view text) {
    if (text.find("NaN") == text.npos && text.find("Infinity") == text.npos) return text;
    copy_ = text;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '"') {
        in_string = !in_string;
      } else if (in_string) {
        if (text[i] == '\\') ++i;
      } else if (stands_alone(text, i, "NaN")) {
        replace(i, "0.0", std::numeric_limits<double>::quiet_NaN());
      } else if (stands_alone(text, i, "Infinity")) {
        replace(i, "0.000000", std::numeric_limits<double>::infinity());
      }
    }
    return copy_;
  }

  /// The value of the word that was at `offset`, if there was one.
  const double* find(std::size_t offset) const {
    const auto it = std::lower_bound(words_.begin(), words_.end(), offset,
                                     [](const Word& w, std::size_t o) { return w.offset < o; });
    return it != words_.end() && it->offset == offset ? &it->value : nullptr;
  }

 private:
  struct Word {
    std::size_t offset;
    double value;
  };

  static bool stands_alone(std::string_view text, std::size_t i, std::string_view word) {
    if (text.substr(i, word.size()) != word) return false;
    constexpr std::string_view kBefore = " \t\r\n,:[", kAfter = " \t\r\n,]}";
    const std::size_t end = i + word.size();
    if (end < text.size() && kAfter.find(text[end]) == kAfter.npos) return false;
    const bool negative = word == "Infinity" && i > 0 && text[i - 1] == '-';
    const std::size_t start = negative ? i - 1 : i;
    return start == 0 || kBefore.find(text[start - 1]) != kBefore.npos;
  }

  void replace(std::size_t offset, std::string_view digits, double value) {
    copy_.replace(offset, digits.size(), digits);
    words_.push_back({offset, value});
  }

  std::string copy_;
  std::vector<Word> words_;
};

/// The keys of one open object, as hashes: two keys of one hash are taken for equal (2^-64 per pair).
class KeySet {
 public:
  bool insert(std::size_t hash) {
    if (few_.size() < kFew) {
      if (std::find(few_.begin(), few_.end(), hash) != few_.end()) return false;
      few_.push_back(hash);
      return true;
    }
    if (many_.empty()) many_.insert(few_.begin(), few_.end());
    return many_.insert(hash).second;
  }

 private:
  static constexpr std::size_t kFew = 16;
  std::vector<std::size_t> few_;
  std::unordered_set<std::size_t> many_;
};

/// Builds values from the parser's events. `reason` is set when an event is refused.
struct Builder {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  json::value_stack stack;
  std::string_view text;
  const PythonNumbers* python_numbers = nullptr;
  std::string reason;
  std::vector<KeySet> open_objects;
  std::string key;
  std::size_t values = 0, max_values = kMaxJsonValues;

  bool refuse(std::string why, json::error_code& ec) {
    reason = std::move(why);
    ec = json::make_error_code(json::error::syntax);
    return false;
  }
  bool count(json::error_code& ec) {
    return ++values <= max_values || refuse(cat("more than ", max_values, " values"), ec);
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    open_objects.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t n, json::error_code& ec) {
    open_objects.pop_back();
    stack.push_object(n);
    return count(ec);
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t n, json::error_code& ec) {
    stack.push_array(n);
    return count(ec);
  }
  bool on_key_part(json::string_view s, std::size_t, json::error_code&) {
    key.append(s.data(), s.size());
    stack.push_chars(s);
    return true;
  }
  bool on_key(json::string_view s, std::size_t, json::error_code& ec) {
    key.append(s.data(), s.size());
    if (!open_objects.back().insert(std::hash<std::string_view>{}(key)))
      return refuse(cat("duplicate key ", base::quote_name(key)), ec);
    key.clear();
    stack.push_key(s);
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, json::error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, std::size_t, json::error_code& ec) {
    stack.push_string(s);
    return count(ec);
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t i, json::string_view, json::error_code& ec) {
    stack.push_int64(i);
    return count(ec);
  }
  bool on_uint64(std::uint64_t u, json::string_view, json::error_code& ec) {
    stack.push_uint64(u);
    return count(ec);
  }
  bool on_double(double approximate, json::string_view s, json::error_code& ec) {
    stack.push_double(exact(approximate, {s.data(), s.size()}));
    return count(ec);
  }
  bool on_bool(bool b, json::error_code& ec) {
    stack.push_bool(b);
    return count(ec);
  }
  bool on_null(json::error_code& ec) {
    stack.push_null();
    return count(ec);
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  /// Boost 1.81 rounds numbers of more than 15 digits wrongly now and then; from_chars rounds as Python does.
  double exact(double approximate, std::string_view number) const {
    const bool negative = !number.empty() && number.front() == '-';
    const auto offset = static_cast<std::size_t>(number.data() - text.data()) + (negative ? 1 : 0);
    if (const double* word = python_numbers->find(offset)) return negative ? -*word : *word;
    double value = 0;
    const auto result = std::from_chars(number.data(), number.data() + number.size(), value);
    if (result.ec == std::errc::result_out_of_range) {
      const double magnitude = std::fabs(approximate) < 1 ? 0.0 : std::numeric_limits<double>::infinity();
      return negative ? -magnitude : magnitude;
    }
    return result.ec == std::errc() ? value : approximate;
  }
};

std::string position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == before.npos ? offset + 1 : offset - newline;
  return cat("line ", line, ", column ", column);
}

std::string describe(const json::error_code& ec) {
  if (ec == json::error::incomplete) return "the text ends too early";
  if (ec == json::error::too_deep) return cat("nested deeper than ", kMaxDepth, " levels");
  if (ec == json::error::extra_data) return "expected the end of the text";
  return ec.message();
}

}  // namespace

json::value parse_json(std::string_view text, std::string_view source, std::size_t max_values) {
  PythonNumbers python_numbers;
  const std::string_view rewritten = python_numbers.rewrite(text);

  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::basic_parser<Builder> parser(options);
  Builder& builder = parser.handler();
  builder.text = rewritten;
  builder.python_numbers = &python_numbers;
  builder.max_values = max_values;
  // One growing arena: freed as a whole with the last value that uses it.
  builder.stack.reset(json::make_shared_resource<json::monotonic_resource>());

  json::error_code ec;
  const std::size_t consumed = parser.write_some(false, rewritten.data(), rewritten.size(), ec);
  if (!ec && consumed < rewritten.size()) ec = json::make_error_code(json::error::extra_data);
  if (ec)
    throw Error(ErrorCode::format, cat(source, ": ", position(text, consumed), ": ",
                                       builder.reason.empty() ? describe(ec) : builder.reason));
  return builder.stack.release();
}

json::object parse_json_object(std::string_view text, std::string_view source) {
  json::value value = parse_json(text, source);
  if (!value.is_object()) {
    const json::string_view kind = json::to_string(value.kind());
    throw Error(ErrorCode::format,
                cat(source, ": expected a JSON object, got ", std::string_view(kind.data(), kind.size())));
  }
  return std::move(value.as_object());
}

json::object read_json_object(const std::string& path, std::uint64_t max_bytes) {
  return parse_json_object(base::read_file(path, max_bytes), path);
}

}  // namespace minke::formats
