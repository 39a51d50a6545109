// Strings into JSON.
#pragma once

#include <string_view>

#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include "base/utf8.h"

namespace minke::api {

/// Well-formed UTF-8: our own words, and what came from JSON.
inline boost::json::value json_text(std::string_view text) {
  return boost::json::value(boost::json::string_view(text.data(), text.size()));
}

/// Whatever bytes: ill-formed parts become U+FFFD.
inline boost::json::value json_bytes(std::string_view text) {
  return base::is_valid_utf8(text) ? json_text(text) : json_text(base::to_valid_utf8(text));
}

}  // namespace minke::api
