#include "engine/speculation.h"

#include <algorithm>

namespace minke::engine {
namespace {

/// What speculation must promise to be begun: measured times scatter by this much.
constexpr double kLeastGain = 1.03;
/// A guess less likely than this is not tried, whatever the cost is thought to be.
constexpr float kLeastChance = 0.1F;
/// Steps after which two likely guesses are tried although they did not seem to pay: what a step costs is known only
/// from steps that were made. Costs under 1 %.
constexpr std::size_t kTryAgain = 64;
constexpr float kLikely = 0.5F;
constexpr std::size_t kTrial = 2;

}  // namespace

Speculation::Speculation(std::size_t most_replies) : chances_(most_replies) { order_.reserve(kMostRows); }

void Speculation::choose(std::span<Candidate> candidates, const StepCost& cost) noexcept {
  const std::size_t replies = candidates.size();
  const auto next_chance = [&](std::size_t i, float before) {
    const Candidate& c = candidates[i];
    return c.rows < c.job->count ? before * c.record->chance[c.job->evidence[c.rows]] : 0.0F;
  };
  std::size_t sure = replies;  // rows
  for (std::size_t i = 0; i < replies; ++i) {
    Candidate& c = candidates[i];
    if (c.always) c.rows = std::min(c.job->count, kMostRows + replies - sure);
    sure += c.rows;
    chances_[i] = c.always ? 0.0F : next_chance(i, 1);
  }
  // Guesses in order of likelihood; after how many the rate of tokens is highest.
  const double alone = cost.expected_seconds(sure);
  const double base = alone > 0 ? static_cast<double>(replies) / alone : 0;
  double tokens = static_cast<double>(replies), best_rate = base * kLeastGain;
  std::size_t best = 0, likely = 0;
  order_.clear();
  while (sure + order_.size() < replies + kMostRows) {
    std::size_t most = 0;
    for (std::size_t i = 1; i < replies; ++i)
      if (chances_[i] > chances_[most]) most = i;
    const float chance = replies == 0 ? 0 : chances_[most];
    if (chance < kLeastChance) break;
    tokens += static_cast<double>(chance);
    order_.push_back(static_cast<std::uint32_t>(most));
    likely += chance >= kLikely ? 1 : 0;
    ++candidates[most].rows;
    chances_[most] = next_chance(most, chance);
    const double seconds = cost.expected_seconds(sure + order_.size());
    if (seconds > 0 && tokens / seconds > best_rate) {
      best_rate = tokens / seconds;
      best = order_.size();
    }
  }
  if (best == 0 && likely > 0 && alone > 0 && ++since_tried_ >= kTryAgain) best = std::min(likely, kTrial);
  if (best > 0) since_tried_ = 0;
  while (order_.size() > best) {
    --candidates[order_.back()].rows;
    order_.pop_back();
  }
}

}  // namespace minke::engine
