// Typed access to a request's JSON whose errors name the field: "messages[3].role: expected a string, got 5".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace minke::api {

/// A body that must be a JSON object. Nesting and the number of values are bounded before anything is built. Throws
/// ApiError(malformed).
boost::json::object parse_body(std::string_view body);

/// The fields of one object of a request. A field that is null counts as not given, as clients mean it. Every accessor
/// throws ApiError: malformed for another type, invalid for a value out of range. NaN and infinity are never in range.
class Fields {
 public:
  /// `path`: where the object stands in the request, "" for the request itself.
  explicit Fields(const boost::json::object& object, std::string path = {})
      : object_(&object), path_(std::move(path)) {}

  const boost::json::value* find(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::optional<double> number(std::string_view key, double least, double most) const;
  /// 5 and 5.0 are both five.
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most) const;
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<Fields> object(std::string_view key) const;
  const boost::json::array* array(std::string_view key) const;

  /// The field's place in the request: "stream_options.include_usage".
  std::string place(std::string_view key) const;

 private:
  const boost::json::object* object_;
  std::string path_;
};

/// ApiError(malformed): "PLACE: expected WANTED, got ...".
[[noreturn]] void throw_wrong_type(const std::string& place, std::string_view wanted, const boost::json::value& got);
/// ApiError(invalid): "PLACE: WHY".
[[noreturn]] void throw_invalid(const std::string& place, std::string_view why);
/// ApiError(unsupported): "PLACE: WHY".
[[noreturn]] void throw_unsupported(const std::string& place, std::string_view why);

std::string_view text_of(const boost::json::value& value, const std::string& place);

}  // namespace minke::api
