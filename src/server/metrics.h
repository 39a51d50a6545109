// Counts of what the server did, in Prometheus's text format.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "api/generation.h"
#include "api/model_pool.h"

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
  /// `model`: empty for one that never came to be.
  void count_reply(std::string_view model, const api::Spent& spent);
  /// `ready`: requests for the first model need not wait.
  std::string text(std::span<const api::ModelStatus> models, bool ready, std::size_t connections) const;

 private:
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  struct Tokens {
    std::uint64_t prompt = 0, cached = 0, output = 0, reasoning = 0;
  };
  Tokens tokens_;
  std::map<std::string, Tokens, std::less<>> by_model_;
  Histogram request_seconds_, first_token_seconds_, per_token_seconds_, queue_seconds_;
};

}  // namespace minke::server
