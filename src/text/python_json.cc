#include "text/python_json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <system_error>

#include "base/utf8.h"

namespace minke::text {
namespace {

constexpr std::size_t kMaxDepth = 64;

bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// repr() of a float: the shortest digits that give the value back, in scientific notation from 1e16 on and
// below 1e-4.
std::string python_float(double value) {
  if (!std::isfinite(value)) return value > 0 ? "Infinity" : "-Infinity";  // 1e999, as Python reads and writes it
  char buffer[64];
  const double size = std::fabs(value);
  const bool fixed = size == 0 || (size >= 1e-4 && size < 1e16);
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                                 fixed ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer, end.ptr);
  if (fixed && text.find('.') == std::string::npos) text += ".0";
  return text;
}

// Reads JSON from the front of a text. Every function returns whether it found what it looks for.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  void skip_space() {
    while (at_ < text_.size() && is_json_space(text_[at_])) ++at_;
  }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  std::size_t offset() const { return at_; }
  std::string_view since(std::size_t from) const { return text_.substr(from, at_ - from); }

  // A string's text; `out` may be null.
  bool string(std::string* out) {
    if (!take('"')) return false;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        if (out != nullptr) out->push_back(c);
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  // A number's text, rewritten as Python prints it.
  bool number(std::string* out) {
    const std::size_t from = at_;
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    if (at_ == text_.size() || !is_digit(text_[at_])) return false;
    if (text_[at_] == '0') {
      ++at_;
    } else {
      digits();
    }
    bool integer = true;
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      integer = false;
      if (!digits()) return false;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      integer = false;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digits()) return false;
    }
    if (out != nullptr) out->append(rewritten(since(from), integer));
    return true;
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

 private:
  bool digits() {
    const std::size_t from = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > from;
  }

  static std::string rewritten(std::string_view number, bool integer) {
    if (integer) return number == "-0" ? "0" : std::string(number);
    double value = 0;
    const std::from_chars_result read = std::from_chars(number.data(), number.data() + number.size(), value);
    if (read.ec == std::errc::result_out_of_range) {  // the value is left alone: too large, or too close to zero
      const bool small = number.find("e-") != std::string_view::npos || number.find("E-") != std::string_view::npos;
      if (small) return number.front() == '-' ? "-0.0" : "0.0";
      return number.front() == '-' ? "-Infinity" : "Infinity";
    }
    return python_float(value);
  }

  bool hex4(char32_t& unit) {
    if (text_.size() - at_ < 4) return false;
    std::uint32_t value = 0;
    const char* const from = text_.data() + at_;
    const std::from_chars_result read = std::from_chars(from, from + 4, value, 16);
    if (read.ec != std::errc() || read.ptr != from + 4) return false;
    unit = value;
    at_ += 4;
    return true;
  }

  bool escape(std::string* out) {
    if (at_ == text_.size()) return false;
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const char c = text_[at_++];
    if (const std::size_t known = kNames.find(c); known != std::string_view::npos) {
      if (out != nullptr) out->push_back(kMeanings[known]);
      return true;
    }
    if (c != 'u') return false;
    char32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      const std::size_t before = at_;
      at_ += 2;
      char32_t low = 0;
      if (!hex4(low)) return false;
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
      } else {
        at_ = before;
      }
    }
    if (code >= 0xD800 && code < 0xE000) code = 0xFFFD;  // half a pair stands for no character
    if (out != nullptr) base::append_utf8(*out, code);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// Walks one value and writes it, where `out` is given.
class Writer {
 public:
  Writer(Reader& in, std::string* out, std::size_t indent) : in_(in), out_(out), indent_(indent) {}

  bool value(std::size_t depth) {
    if (depth > kMaxDepth) return false;
    switch (in_.peek()) {
      case '{':
        return list(depth, '{', '}');
      case '[':
        return list(depth, '[', ']');
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return in_.number(out_);
    }
  }

 private:
  bool list(std::size_t depth, char open, char close) {
    in_.take(open);
    put(open);
    if (in_.take(close)) return put(close);
    bool first = true;
    do {
      if (!first) put(',');
      if (indent_ > 0) {
        line(depth + 1);
      } else if (!first) {
        put(' ');
      }
      first = false;
      if (open == '{') {
        if (!string() || !in_.take(':')) return false;
        put(':');
        put(' ');
      }
      if (!value(depth + 1)) return false;
    } while (in_.take(','));
    if (!in_.take(close)) return false;
    if (indent_ > 0) line(depth);
    return put(close);
  }

  bool string() {
    std::string text;
    if (!in_.string(out_ != nullptr ? &text : nullptr)) return false;
    put('"');
    if (out_ != nullptr) append_json_escaped(*out_, text);
    return put('"');
  }

  bool word(std::string_view expected) {
    if (!in_.word(expected)) return false;
    if (out_ != nullptr) out_->append(expected);
    return true;
  }

  bool put(char c) {
    if (out_ != nullptr) out_->push_back(c);
    return true;
  }
  void line(std::size_t depth) {
    if (out_ != nullptr) out_->append("\n").append(depth * indent_, ' ');
  }

  Reader& in_;
  std::string* out_;
  std::size_t indent_;
};

bool skip_value(Reader& in) {
  in.skip_space();
  return Writer(in, nullptr, 0).value(1);
}

}  // namespace

std::optional<std::string> python_json(std::string_view json, std::size_t indent) {
  Reader in(json);
  std::string out;
  if (!Writer(in, &out, indent).value(0) || !in.at_end()) return std::nullopt;
  return out;
}

std::optional<std::vector<JsonMember>> json_members(std::string_view json) {
  Reader in(json);
  if (!in.take('{')) return std::nullopt;
  std::vector<JsonMember> members;
  if (!in.take('}')) {
    do {
      JsonMember member;
      if (!in.string(&member.name) || !in.take(':')) return std::nullopt;
      in.skip_space();
      const std::size_t from = in.offset();
      if (!skip_value(in)) return std::nullopt;
      member.value = in.since(from);
      members.push_back(std::move(member));
    } while (in.take(','));
    if (!in.take('}')) return std::nullopt;
  }
  if (!in.at_end()) return std::nullopt;
  return members;
}

std::optional<std::vector<std::string_view>> json_elements(std::string_view json) {
  Reader in(json);
  if (!in.take('[')) return std::nullopt;
  std::vector<std::string_view> elements;
  if (!in.take(']')) {
    do {
      in.skip_space();
      const std::size_t from = in.offset();
      if (!skip_value(in)) return std::nullopt;
      elements.push_back(in.since(from));
    } while (in.take(','));
    if (!in.take(']')) return std::nullopt;
  }
  if (!in.at_end()) return std::nullopt;
  return elements;
}

std::optional<std::string> json_string(std::string_view json) {
  Reader in(json);
  std::string out;
  if (!in.string(&out) || !in.at_end()) return std::nullopt;
  return out;
}

void append_json_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out += kHex[byte >> 4U];
          out += kHex[byte & 15U];
        } else {
          out += c;
        }
    }
  }
}

}  // namespace minke::text
