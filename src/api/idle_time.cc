#include "api/idle_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

namespace minke::api {
namespace {

constexpr double kTenYears = 10 * 365.25 * 86400;

constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
    {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"s", 1}, {"m", 60}, {"h", 3600}}};

}  // namespace

IdleTime idle_time(double seconds) noexcept {
  if (!(seconds >= 0 && seconds <= kTenYears)) return kForever;
  return IdleTime(static_cast<std::int64_t>(std::ceil(seconds * 1e9)));
}

std::optional<IdleTime> parse_idle_time(std::string_view text) noexcept {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  double seconds = 0;
  for (bool first = true; !text.empty(); first = false) {
    double value = 0;
    const auto number = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    // Signs, infinity and NaN are for from_chars to read, and not for us.
    const bool digit = text.front() == '.' || (text.front() >= '0' && text.front() <= '9');
    if (number.ec != std::errc() || !digit) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(number.ptr - text.data()));
    if (text.empty()) {
      if (!first) return std::nullopt;  // "1h30"
      seconds = value;
      break;
    }
    const auto* unit =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& one) { return text.starts_with(one.first); });
    if (unit == kUnits.end()) return std::nullopt;
    seconds += value * unit->second;
    text.remove_prefix(unit->first.size());
  }
  return negative && seconds > 0 ? kForever : idle_time(seconds);
}

}  // namespace minke::api
