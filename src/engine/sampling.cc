#include "engine/sampling.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "kernels/math.h"

namespace minke::engine {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

void check_range(std::string_view field, double value, double min, double max) {
  if (!(value >= min && value <= max))
    throw Error(ErrorCode::invalid_argument, cat(field, ": expected ", min, " to ", max, ", got ", value));
}

}  // namespace

void SamplingParams::validate() const {
  check_range("temperature", temperature, 0, 100);
  check_range("top_k", static_cast<double>(top_k), 0, 1e9);
  check_range("top_p", top_p, 1e-9, 1);
  check_range("min_p", min_p, 0, 1);
  check_range("repeat_penalty", repeat_penalty, 1e-3, 10);
}

Sampler::Sampler(const SamplingParams& params, std::size_t vocab_size)
    : params_(params), candidates_(vocab_size), weights_(vocab_size), seen_(vocab_size, 0) {
  params_.validate();
}

void check_finite(std::span<const float> logits, std::uint64_t position) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!std::isfinite(logits[i]))
      throw Error(ErrorCode::numeric,
                  cat("the model gave a logit that is not finite (token ", i, ", position ", position, ")"),
                  "The weights are damaged, or the model cannot be run in this precision; try --numerics exact.");
}

std::int32_t Sampler::sample(std::span<float> logits, std::span<const std::int32_t> history, std::uint64_t position) {
  check_finite(logits, position);
  if (params_.repeat_penalty != 1.0) {
    const auto penalty = static_cast<float>(params_.repeat_penalty);
    for (const std::int32_t id : history) {
      const auto index = static_cast<std::size_t>(id);
      if (index >= seen_.size() || seen_[index]) continue;
      seen_[index] = 1;
      logits[index] = logits[index] > 0 ? logits[index] / penalty : logits[index] * penalty;
    }
    for (const std::int32_t id : history)
      if (static_cast<std::size_t>(id) < seen_.size()) seen_[static_cast<std::size_t>(id)] = 0;
  }
  if (params_.temperature == 0 || params_.top_k == 1)
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  for (std::size_t i = 0; i < logits.size(); ++i) candidates_[i] = {logits[i], static_cast<std::int32_t>(i)};
  return draw(candidates_, position);
}

std::int32_t Sampler::draw(std::span<Candidate> candidates, std::uint64_t position) {
  // Higher logit first; equal ones by id, so that the order is total and no sort can choose.
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  if (params_.top_k > 0 && static_cast<std::size_t>(params_.top_k) < candidates.size()) {
    const auto k = static_cast<std::ptrdiff_t>(params_.top_k);
    std::nth_element(candidates.begin(), candidates.begin() + k, candidates.end(), before);
    candidates = candidates.first(static_cast<std::size_t>(k));
  }
  const float top = std::min_element(candidates.begin(), candidates.end(), before)->logit;
  const auto weight = [&](const Candidate& c) {
    const double scaled = (static_cast<double>(c.logit) - static_cast<double>(top)) / params_.temperature;
    return static_cast<double>(kernels::exp_f32(static_cast<float>(scaled)));
  };
  // The sums run over ids in ascending order: nth_element leaves an order of its own.
  std::sort(
      candidates.begin(), candidates.end(),
      params_.top_p < 1 || params_.min_p > 0 || candidates.size() < candidates_.size()
          ? +before
          : +[](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  double total = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) total += weights_[i] = weight(candidates[i]);
  std::size_t kept = candidates.size();
  if (params_.top_p < 1) {
    double mass = 0;
    for (kept = 0; kept < candidates.size() && mass < params_.top_p * total; ++kept) mass += weights_[kept];
    total = mass;
  }
  if (params_.min_p > 0) {
    while (kept > 1 && weights_[kept - 1] < params_.min_p * weights_[0]) total -= weights_[--kept];
  }
  const double target = base::uniform(params_.seed, 0, position) * total;
  double mass = 0;
  for (std::size_t i = 0; i + 1 < kept; ++i) {
    mass += weights_[i];
    if (target < mass) return candidates[i].id;
  }
  return candidates[kept - 1].id;
}

}  // namespace minke::engine
