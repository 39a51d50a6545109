// JSON from outside, through Boost.JSON with limits, and typed access whose errors name the key.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace minke::formats {

/// Parses text: nesting at most 64, duplicate keys refused, NaN/Infinity accepted as Python writes them.
/// Error(format) "SOURCE: line L, column C: reason".
boost::json::value parse_json(std::string_view text, std::string_view source);

/// Text that must be a JSON object.
boost::json::object parse_json_object(std::string_view text, std::string_view source);

/// A whole file that must hold a JSON object, at most `max_bytes` long.
boost::json::object read_json_object(const std::string& path, std::uint64_t max_bytes = 256u << 20);

}  // namespace minke::formats
