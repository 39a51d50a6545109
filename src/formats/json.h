// JSON from outside, through Boost.JSON with limits, and typed access whose errors name the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace minke::formats {

/// Bounds memory: a value takes 16 to 24 bytes but may be a single byte of text. The largest real files (an
/// index of 200 k tensors, a tokenizer of 260 k tokens and as many merges) have under a million values.
inline constexpr std::size_t kMaxJsonValues = std::size_t{1} << 24;

/// Parses text: nesting at most 64, duplicate keys refused, NaN/Infinity accepted as Python writes them.
/// Error(format) "SOURCE: line L, column C: reason".
boost::json::value parse_json(std::string_view text, std::string_view source, std::size_t max_values = kMaxJsonValues);

/// Text that must be a JSON object.
boost::json::object parse_json_object(std::string_view text, std::string_view source);

/// A whole file that must hold a JSON object, at most `max_bytes` long.
boost::json::object read_json_object(const std::string& path, std::uint64_t max_bytes = 256u << 20);

}  // namespace minke::formats
