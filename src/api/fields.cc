#include "api/fields.h"

#include <cmath>
#include <utility>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"
#include "formats/json.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

// A chat of 10,000 turns has some 60,000 values; this many take at most some 50 MB.
constexpr std::size_t kMaxValues = std::size_t{1} << 20;

std::string range_text(std::string_view what, double least, double most, const json::value& got) {
  return base::cat("expected ", what, " from ", least, " to ", most, ", got ", text::describe_json(got));
}

}  // namespace

json::object parse_body(std::string_view body) {
  if (body.empty()) throw ApiError(Fault::malformed, "the request has no body; expected a JSON object");
  json::value value;
  try {
    value = formats::parse_json(body, "the request's body", kMaxValues);
  } catch (const base::Error& error) {
    throw ApiError(Fault::malformed, base::cat("not JSON that can be read: ", error.message()));
  }
  if (!value.is_object()) {
    throw ApiError(Fault::malformed,
                   base::cat("the request's body: expected a JSON object, got ", text::describe_json(value)));
  }
  return std::move(value.as_object());
}

void throw_wrong_type(const std::string& place, std::string_view wanted, const json::value& got) {
  throw ApiError(Fault::malformed, base::cat(place, ": expected ", wanted, ", got ", text::describe_json(got)), place);
}

void throw_invalid(const std::string& place, std::string_view why) {
  throw ApiError(Fault::invalid, base::cat(place, ": ", why), place);
}

void throw_unsupported(const std::string& place, std::string_view why) {
  throw ApiError(Fault::unsupported, base::cat(place, ": ", why), place);
}

std::string_view text_of(const json::value& value, const std::string& place) {
  if (!value.is_string()) throw_wrong_type(place, "a string", value);
  return text::view(value.get_string());
}

const json::value* Fields::find(std::string_view key) const {
  const json::value* value = object_->if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string Fields::place(std::string_view key) const {
  return path_.empty() ? std::string(key) : base::cat(path_, ".", key);
}

std::optional<bool> Fields::flag(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) throw_wrong_type(place(key), "true or false", *value);
  return value->get_bool();
}

std::optional<double> Fields::number(std::string_view key, double least, double most) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) throw_wrong_type(place(key), "a number", *value);
  const double result = value->to_number<double>();
  if (!(result >= least && result <= most)) throw_invalid(place(key), range_text("a number", least, most, *value));
  return result;
}

std::optional<std::int64_t> Fields::integer(std::string_view key, std::int64_t least, std::int64_t most) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) throw_wrong_type(place(key), "an integer", *value);
  std::int64_t result = 0;
  bool fits = true;
  if (value->is_int64()) {
    result = value->get_int64();
  } else if (value->is_uint64()) {
    fits = false;  // Boost.JSON has unsigned numbers only beyond the signed ones
  } else {
    const double number = value->get_double();
    // The casts are exact below 2^53; beyond, a double is no way to write an integer.
    fits = std::fabs(number) <= 9007199254740992.0;
    if (fits && number != std::floor(number)) throw_wrong_type(place(key), "an integer", *value);
    if (fits) result = static_cast<std::int64_t>(number);
  }
  if (!fits || result < least || result > most) {
    throw_invalid(place(key),
                  base::cat("expected an integer from ", least, " to ", most, ", got ", text::describe_json(*value)));
  }
  return result;
}

std::optional<std::string_view> Fields::text(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  return text_of(*value, place(key));
}

std::optional<Fields> Fields::object(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) throw_wrong_type(place(key), "an object", *value);
  return Fields(value->get_object(), place(key));
}

const json::array* Fields::array(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) throw_wrong_type(place(key), "an array", *value);
  return &value->get_array();
}

}  // namespace minke::api
