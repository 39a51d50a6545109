#include "cli/pull_progress.h"

#include <algorithm>
#include <cmath>

#include "base/cat.h"
#include "cli/output.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

constexpr double kSmoothing = 5;  // seconds after which a change of rate has come through by 63 %
constexpr auto kLineEvery = std::chrono::seconds(30);

}  // namespace

void TransferRate::update(double seconds, std::uint64_t bytes) {
  const double passed = seconds - last_seconds_;
  // Shorter steps are noise: a block is written at once.
  if (passed < 0.5) return;
  const double now = static_cast<double>(bytes - last_bytes_) / passed;
  const double weight = last_seconds_ == 0 ? 1 : 1 - std::exp(-passed / kSmoothing);
  rate_ += weight * (now - rate_);
  last_seconds_ = seconds;
  last_bytes_ = bytes;
}

std::string duration_text(double seconds) {
  constexpr double kLongest = 99 * 3600.0;
  const auto whole = static_cast<std::uint64_t>(std::clamp(std::ceil(seconds), 0.0, kLongest));
  if (whole < 60) return base::cat(whole, " s");
  if (whole < 3600) return base::cat(whole / 60, " min ", whole % 60, " s");
  return base::cat(whole / 3600, " h ", whole / 60 % 60, " min");
}

PullProgress::PullProgress(std::string label, bool terminal)
    : label_(std::move(label)), terminal_(terminal), bar_(label_, terminal), start_(Clock::now()), next_line_(start_) {}

void PullProgress::line(std::string_view text) {
  bar_.clear();
  note(base::cat(label_, ": ", text, "\n"));
}

void PullProgress::checking(std::uint64_t done, std::uint64_t total) {
  bar_.update(done, total, "checking files of the Hugging Face cache");
}

void PullProgress::update(const hub::DownloadProgress& progress) {
  const auto now = Clock::now();
  rate_.update(std::chrono::duration<double>(now - start_).count(), progress.fetched);
  const double rate = rate_.bytes_per_second();
  const std::uint64_t left = progress.total - std::min(progress.done, progress.total);
  std::string text = base::cat(byte_text(progress.done), " of ", byte_text(progress.total));
  if (left == 0) {
    text += ", checking";
  } else if (!progress.trouble.empty()) {
    text += base::cat(", trying again: ", progress.trouble);
  } else if (rate > 0) {
    text += base::cat(", ", byte_text(static_cast<std::uint64_t>(rate)), "/s, ",
                      duration_text(static_cast<double>(left) / rate), " left");
  }
  if (terminal_) {
    bar_.update(progress.done, progress.total, printable(text));
    return;
  }
  if (progress.trouble != last_trouble_ && !progress.trouble.empty()) line(printable(text));
  last_trouble_ = progress.trouble;
  // A line each half a minute, and one each tenth, but not ten at once.
  const std::uint64_t tenth = progress.total == 0 ? 10 : progress.done * 10 / progress.total;
  if (now < next_line_ && (tenth < next_tenth_ || now < next_line_ - kLineEvery + std::chrono::seconds(2))) return;
  next_line_ = now + kLineEvery;
  next_tenth_ = tenth + 1;
  line(printable(text));
}

}  // namespace minke::cli
