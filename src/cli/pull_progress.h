// What a download shows: a bar on a terminal, now and then a line elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/progress.h"
#include "hub/download.h"

namespace minke::cli {

/// Bytes a second, smoothed over about five seconds, and the time left by it.
class TransferRate {
 public:
  /// `seconds` since the start, in order.
  void update(double seconds, std::uint64_t bytes);
  double bytes_per_second() const noexcept { return rate_; }

 private:
  double last_seconds_ = 0, rate_ = 0;
  std::uint64_t last_bytes_ = 0;
};

/// 75 -> "1 min 15 s"; 8000 -> "2 h 13 min".
std::string duration_text(double seconds);

class PullProgress {
 public:
  PullProgress(std::string label, bool terminal);

  void update(const hub::DownloadProgress& progress);
  void checking(std::uint64_t done, std::uint64_t total);
  void clear() { bar_.clear(); }

 private:
  void line(std::string_view text);

  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool terminal_;
  Progress bar_;
  TransferRate rate_;
  Clock::time_point start_, next_line_;
  std::uint64_t next_tenth_ = 1;
  std::string last_trouble_;
};

}  // namespace minke::cli
