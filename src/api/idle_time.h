// How long a model stays in memory that nobody uses, as Ollama's clients write it.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace minke::api {

using IdleTime = std::chrono::nanoseconds;
inline constexpr IdleTime kForever = IdleTime::max();

/// Seconds; less than none, or more than ten years, are for ever. NaN is for ever, too.
IdleTime idle_time(double seconds) noexcept;

/// "5m", "1h30m", "1.5s", "300ms", or a number of seconds; negative ones are for ever. Nullopt for anything else.
std::optional<IdleTime> parse_idle_time(std::string_view text) noexcept;

}  // namespace minke::api
