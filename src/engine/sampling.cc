#include "engine/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "kernels/isa.h"
#include "kernels/kernel_table.h"

namespace minke::engine {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

void check_range(std::string_view field, double value, double min, double max) {
  if (!(value >= min && value <= max))
    throw Error(ErrorCode::invalid_argument, cat(field, ": expected ", min, " to ", max, ", got ", value));
}

/// Tokens whose largest logit is kept: 594 numbers stand for a vocabulary of 152k.
constexpr std::size_t kChunk = 256;
constexpr std::int32_t kInfinityBits = 0x7f800000;

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

struct ChunkScan {
  float top;               ///< the largest
  std::int32_t magnitude;  ///< the largest of the bits of |x|: at least kInfinityBits when one is not finite
};

/// Sixteen lanes that compilers turn into vectors: a scan of 152k logits takes 20 us, not 200.
ChunkScan scan_chunk(std::span<const float> x) {
  float top[16];
  std::int32_t magnitude[16];
  std::fill_n(top, 16, -std::numeric_limits<float>::infinity());
  std::fill_n(magnitude, 16, 0);
  std::size_t i = 0;
  for (; i + 16 <= x.size(); i += 16)
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const float value = x[i + lane];
      const std::int32_t bits = std::bit_cast<std::int32_t>(value) & 0x7fffffff;
      top[lane] = value > top[lane] ? value : top[lane];
      magnitude[lane] = bits > magnitude[lane] ? bits : magnitude[lane];
    }
  for (; i < x.size(); ++i) {
    top[0] = std::max(top[0], x[i]);
    magnitude[0] = std::max(magnitude[0], std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
  }
  return {*std::max_element(top, top + 16), *std::max_element(magnitude, magnitude + 16)};
}

/// Element i in sum i mod 8, the sums merged in one tree.
double sum_chunk(std::span<const float> x) {
  double sums[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= x.size(); i += 8)
    for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += static_cast<double>(x[i + lane]);
  for (std::size_t lane = 0; i + lane < x.size(); ++lane) sums[lane] += static_cast<double>(x[i + lane]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// What a weight is e to the power of.
float scaled(float logit, float top, double temperature) {
  return static_cast<float>((static_cast<double>(logit) - static_cast<double>(top)) / temperature);
}

[[noreturn]] void refuse(std::span<const float> logits, std::uint64_t position) {
  const auto bad = std::find_if(logits.begin(), logits.end(), [](float x) { return !std::isfinite(x); });
  throw Error(
      ErrorCode::numeric,
      cat("the model gave a logit that is not finite (token ", bad - logits.begin(), ", position ", position, ")"),
      "The weights are damaged, or the model cannot be run in this precision; try --numerics exact.");
}

}  // namespace

void SamplingParams::validate() const {
  check_range("temperature", temperature, 0, 100);
  check_range("top_k", static_cast<double>(top_k), 0, 1e9);
  check_range("top_p", top_p, 1e-9, 1);
  check_range("min_p", min_p, 0, 1);
  check_range("repeat_penalty", repeat_penalty, 1e-3, 10);
  check_range("presence_penalty", presence_penalty, -2, 2);
  check_range("frequency_penalty", frequency_penalty, -2, 2);
  dry.validate();
  check_range("logit_bias's length", static_cast<double>(logit_bias.size()), 0, static_cast<double>(kMaxBiases));
  for (const LogitBias& entry : logit_bias) {
    check_range("logit_bias's token", static_cast<double>(entry.token), 0, 2147483647.0);
    check_range("logit_bias", entry.bias, -100, 100);
  }
}

Sampler::Sampler(const SamplingParams& params, std::size_t vocab_size)
    : own_(params),
      params_(&own_),
      table_(&kernels::kernel_table(kernels::best_isa())),
      chunk_tops_(divide_up(vocab_size, kChunk)),
      bounds_(chunk_tops_.size()),
      candidates_(vocab_size),
      weights_(vocab_size),
      chunk_sums_(chunk_tops_.size()),
      seen_(vocab_size, 0) {
  own_.validate();
}

void check_finite(std::span<const float> logits, std::uint64_t position) {
  if (scan_chunk(logits).magnitude >= kInfinityBits) refuse(logits, position);
}

std::int32_t Sampler::sample(std::span<float> logits, std::span<const std::int32_t> history, std::uint64_t position) {
  if (params_->repeat_penalty != 1.0) penalise(logits, history);
  if (params_->presence_penalty != 0 || params_->frequency_penalty != 0)
    penalise_reply(logits, history.subspan(std::min(prompt_, history.size())));
  if (params_->dry.multiplier != 0) apply_dry(params_->dry, history, logits, seen_);
  for (const LogitBias& bias : params_->logit_bias)
    if (static_cast<std::size_t>(bias.token) < logits.size())
      logits[static_cast<std::size_t>(bias.token)] += static_cast<float>(bias.bias);
  scan(logits, position);
  if (params_->temperature == 0 || params_->top_k == 1) return most_likely(logits);

  const double uniform = base::uniform(params_->seed, stream_, position);
  std::span<const Candidate> kept;
  double total = 0;
  if (params_->top_k > 0 && static_cast<std::size_t>(params_->top_k) < logits.size()) {
    kept = largest(logits, static_cast<std::size_t>(params_->top_k));
    total = weigh(kept);
    if (params_->top_p < 1) {
      double mass = 0;
      std::size_t count = 0;
      while (count < kept.size() && mass < params_->top_p * total) mass += static_cast<double>(weights_[count++]);
      kept = kept.first(count);
      total = mass;
    }
  } else if (params_->top_p < 1) {
    kept = nucleus(logits, total);
  } else if (params_->min_p > 0) {
    kept = likely_enough(logits);
    total = weigh(kept);
  } else {
    weigh(logits);
    return draw_any(logits.size(), uniform);
  }
  while (kept.size() > 1 &&
         (weights_[kept.size() - 1] == 0 ||  // forbidden ones, for instance
          static_cast<double>(weights_[kept.size() - 1]) < params_->min_p * static_cast<double>(weights_[0]))) {
    total -= static_cast<double>(weights_[kept.size() - 1]);
    kept = kept.first(kept.size() - 1);
  }
  const double target = uniform * total;
  double mass = 0;
  for (std::size_t i = 0; i + 1 < kept.size(); ++i) {
    mass += static_cast<double>(weights_[i]);
    if (target < mass) return kept[i].id;
  }
  return kept.back().id;
}

void Sampler::penalise(std::span<float> logits, std::span<const std::int32_t> history) {
  const auto penalty = static_cast<float>(params_->repeat_penalty);
  for (const std::int32_t id : history) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= seen_.size() || seen_[index]) continue;
    seen_[index] = 1;
    logits[index] = logits[index] > 0 ? logits[index] / penalty : logits[index] * penalty;
  }
  for (const std::int32_t id : history)
    if (static_cast<std::size_t>(id) < seen_.size()) seen_[static_cast<std::size_t>(id)] = 0;
}

/// Token by token, so that a token that is there n times is lowered n times, in the order of the reply.
void Sampler::penalise_reply(std::span<float> logits, std::span<const std::int32_t> reply) {
  const auto presence = static_cast<float>(params_->presence_penalty);
  const auto frequency = static_cast<float>(params_->frequency_penalty);
  for (const std::int32_t id : reply) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= seen_.size()) continue;
    logits[index] -= seen_[index] ? frequency : presence + frequency;
    seen_[index] = 1;
  }
  for (const std::int32_t id : reply)
    if (static_cast<std::size_t>(id) < seen_.size()) seen_[static_cast<std::size_t>(id)] = 0;
}

/// Fills top_ and chunk_tops_. Error(numeric) when a logit is not finite.
void Sampler::scan(std::span<const float> logits, std::uint64_t position) {
  top_ = -std::numeric_limits<float>::infinity();
  for (std::size_t chunk = 0; chunk < chunk_tops_.size(); ++chunk) {
    const auto part = logits.subspan(chunk * kChunk, std::min(kChunk, logits.size() - chunk * kChunk));
    const ChunkScan found = scan_chunk(part);
    if (found.magnitude >= kInfinityBits) refuse(logits, position);
    chunk_tops_[chunk] = found.top;
    top_ = std::max(top_, found.top);
  }
}

std::int32_t Sampler::most_likely(std::span<const float> logits) const {
  const auto chunk =
      static_cast<std::size_t>(std::find(chunk_tops_.begin(), chunk_tops_.end(), top_) - chunk_tops_.begin());
  return static_cast<std::int32_t>(
      std::find(logits.begin() + static_cast<std::ptrdiff_t>(chunk * kChunk), logits.end(), top_) - logits.begin());
}

/// The `count` most likely tokens, best first; equal ones by id, so that the order is total.
std::span<Sampler::Candidate> Sampler::largest(std::span<const float> logits, std::size_t count) {
  count = std::min(count, logits.size());
  // As many chunks have a token of at least `bound` as tokens are wanted: no smaller one can be among them.
  float bound = -std::numeric_limits<float>::infinity();
  if (count <= chunk_tops_.size()) {
    bounds_ = chunk_tops_;  // of one size: no allocation
    const auto at = bounds_.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(bounds_.begin(), at, bounds_.end(), std::greater<>());
    bound = *at;
  }
  std::size_t found = 0;
  for (std::size_t chunk = 0; chunk < chunk_tops_.size(); ++chunk) {
    if (chunk_tops_[chunk] < bound) continue;
    const std::size_t end = std::min(logits.size(), (chunk + 1) * kChunk);
    for (std::size_t i = chunk * kChunk; i < end; ++i)
      if (logits[i] >= bound) candidates_[found++] = {logits[i], static_cast<std::int32_t>(i)};
  }
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const std::span<Candidate> all = std::span(candidates_).first(found);
  if (count < found) std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(), before);
  std::sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), before);
  return all.first(count);
}

/// weights_ of every token, and their sums chunk by chunk.
void Sampler::weigh(std::span<const float> logits) {
  for (std::size_t i = 0; i < logits.size(); ++i) weights_[i] = scaled(logits[i], top_, params_->temperature);
  table_->rows.exp(weights_.data(), weights_.size(), weights_.data());
  for (std::size_t chunk = 0; chunk < chunk_sums_.size(); ++chunk)
    chunk_sums_[chunk] =
        sum_chunk(std::span(weights_).subspan(chunk * kChunk, std::min(kChunk, weights_.size() - chunk * kChunk)));
}

/// weights_[i] of each candidate; their sum, in order.
double Sampler::weigh(std::span<const Candidate> candidates) {
  for (std::size_t i = 0; i < candidates.size(); ++i)
    weights_[i] = scaled(candidates[i].logit, top_, params_->temperature);
  const std::span<float> used = std::span(weights_).first(candidates.size());
  table_->rows.exp(used.data(), used.size(), used.data());
  double total = 0;
  for (const float weight : used) total += static_cast<double>(weight);
  return total;
}

/// The smallest set of most likely tokens that has top_p of all weight, and its weight.
std::span<const Sampler::Candidate> Sampler::nucleus(std::span<const float> logits, double& mass) {
  weigh(logits);
  double total = 0;
  for (const double sum : chunk_sums_) total += sum;
  // Few tokens as a rule. What more it takes is looked for in ever larger sets.
  for (std::size_t count = 64;; count *= 8) {
    const std::span<const Candidate> best = largest(logits, count);
    (void)weigh(best);
    mass = 0;
    std::size_t kept = 0;
    while (kept < best.size() && mass < params_->top_p * total) mass += static_cast<double>(weights_[kept++]);
    if (mass >= params_->top_p * total || best.size() == logits.size()) return best.first(kept);
  }
}

/// The tokens with at least min_p of the best one's weight, best first.
std::span<const Sampler::Candidate> Sampler::likely_enough(std::span<const float> logits) {
  weigh(logits);
  std::size_t count = 0;
  for (const float weight : weights_) count += static_cast<double>(weight) >= params_->min_p ? 1 : 0;
  return largest(logits, std::max<std::size_t>(1, count));
}

/// A token by its share of all weight.
std::int32_t Sampler::draw_any(std::size_t count, double uniform) const {
  double total = 0;
  for (const double sum : chunk_sums_) total += sum;
  const double target = uniform * total;
  double mass = 0;
  std::size_t last = 0;  // of some weight: what rounding may leave for the end goes to it
  for (std::size_t chunk = 0; chunk < chunk_sums_.size(); ++chunk) {
    const double before = mass;
    mass += chunk_sums_[chunk];
    if (chunk_sums_[chunk] == 0) continue;
    const bool here = target < mass;
    double inside = before;
    for (std::size_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) {
      if (weights_[i] == 0) continue;
      last = i;
      inside += static_cast<double>(weights_[i]);
      if (here && target < inside) return static_cast<std::int32_t>(i);
    }
    if (here) break;
  }
  return static_cast<std::int32_t>(last);
}

}  // namespace minke::engine
