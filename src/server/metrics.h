// Counts of what the server did, in Prometheus's text format.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "api/generation.h"
#include "api/model.h"

namespace minke::server {

/// How often values fell at or below each of some bounds.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}
  void add(double value) noexcept;
  void write(std::string_view name, std::string_view help, std::string& out) const;

 private:
  static constexpr std::size_t kMostBounds = 16;
  std::span<const double> bounds_;
  std::array<std::uint64_t, kMostBounds + 1> counts_{};
  double sum_ = 0;
};

/// Used by one thread.
class Metrics {
 public:
  Metrics();

  /// `route`: the path of the table, not what was asked for.
  void count_request(std::string_view route, int status, double seconds);
  void count_reply(const api::Spent& spent);
  std::string text(const api::GeneratorStatus* status, std::size_t connections) const;

 private:
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::uint64_t prompt_tokens_ = 0, cached_tokens_ = 0, output_tokens_ = 0, reasoning_tokens_ = 0;
  Histogram request_seconds_, first_token_seconds_, per_token_seconds_, queue_seconds_;
};

}  // namespace minke::server
