// Which experts a token goes to, and with what weights. Plain scalar code: a few hundred scores per token.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "kernels/math.h"
#include "models/blocks.h"

namespace minke::models {

namespace {

void softmax(std::span<float> scores) {
  const float top = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (float& score : scores) {
    const double weight = kernels::exp(static_cast<double>(score) - static_cast<double>(top));
    score = static_cast<float>(weight);
    total += weight;
  }
  for (float& score : scores) score = static_cast<float>(static_cast<double>(score) / total);
}

void sigmoid(std::span<float> scores) {
  for (float& score : scores) score = static_cast<float>(1.0 / (1.0 + kernels::exp(-static_cast<double>(score))));
}

/// What a group is worth: V2 its best expert, V3 the sum of its two best.
float group_score(Routing routing, const float* choice, std::size_t size) {
  float best = -std::numeric_limits<float>::infinity(), second = best;
  for (std::size_t i = 0; i < size; ++i) {
    if (choice[i] > best) {
      second = best;
      best = choice[i];
    } else {
      second = std::max(second, choice[i]);
    }
  }
  if (routing == Routing::softmax_group_limited) return best;
  return size > 1 ? best + second : best;
}

/// The `count` highest of values[0, n), best first, equal ones by index.
template <typename Value, typename Emit>
void top(std::size_t n, std::size_t count, const Value& value, const Emit& emit) {
  float last = std::numeric_limits<float>::infinity();
  std::size_t last_index = 0;
  bool first = true;
  for (std::size_t rank = 0; rank < count; ++rank) {
    std::size_t best = n;
    for (std::size_t i = 0; i < n; ++i) {
      const bool after = first || value(i) < last || (value(i) == last && i > last_index);
      if (after && (best == n || value(i) > value(best))) best = i;
    }
    if (best == n) return;
    emit(rank, best);
    last = value(best);
    last_index = best;
    first = false;
  }
}

}  // namespace

void check_router_scores(std::span<const float> scores, std::size_t experts) {
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (!std::isfinite(scores[i]))
      throw base::Error(base::ErrorCode::numeric,
                        base::cat("the router's score of expert ", i % experts, " is not finite"),
                        "The weights are damaged, or the model cannot be run in this precision; try --numerics exact.");
}

void route(const MoeConfig& moe, std::span<float> scores, const float* bias, std::int32_t* ids, float* weights) {
  check_router_scores(scores, scores.size());
  choose_experts(moe, scores, bias, ids, weights);
}

void choose_experts(const MoeConfig& moe, std::span<float> scores, const float* bias, std::int32_t* ids,
                    float* weights) noexcept {
  moe.routing == Routing::sigmoid_noaux_tc ? sigmoid(scores) : softmax(scores);
  const auto choice = [&](std::size_t i) { return bias == nullptr ? scores[i] : scores[i] + bias[i]; };
  const auto groups = static_cast<std::size_t>(moe.routing == Routing::softmax_greedy ? 1 : moe.n_group);
  const std::size_t group_size = scores.size() / groups;

  // Groups that lose are masked with minus infinity, as the released code does.
  float masked_value[kMaxExperts] = {};
  float group_value[kMaxExperts] = {};
  for (std::size_t i = 0; i < scores.size(); ++i) masked_value[i] = choice(i);
  if (groups > 1) {
    bool kept[kMaxExperts] = {};
    for (std::size_t g = 0; g < groups; ++g)
      group_value[g] = group_score(moe.routing, masked_value + g * group_size, group_size);
    top(
        groups, static_cast<std::size_t>(moe.topk_group), [&](std::size_t g) { return group_value[g]; },
        [&](std::size_t, std::size_t g) { kept[g] = true; });
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (!kept[i / group_size]) masked_value[i] = -std::numeric_limits<float>::infinity();
  }
  const auto count = static_cast<std::size_t>(moe.num_experts_per_tok);
  top(
      scores.size(), count, [&](std::size_t i) { return masked_value[i]; },
      [&](std::size_t rank, std::size_t i) {
        ids[rank] = static_cast<std::int32_t>(i);
        weights[rank] = scores[i];
      });
  float total = 0;
  for (std::size_t rank = 0; rank < count; ++rank) total += weights[rank];
  const float divisor = moe.norm_topk_prob ? total + 1e-20f : 1.0f;
  for (std::size_t rank = 0; rank < count; ++rank)
    weights[rank] = weights[rank] / divisor * static_cast<float>(moe.routed_scaling_factor);
}

}  // namespace minke::models
