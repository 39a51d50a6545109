#include "engine/logprobs.h"

#include <algorithm>
#include <limits>

#include "kernels/isa.h"
#include "kernels/kernel_table.h"
#include "kernels/math.h"

namespace minke::engine {

Logprobs::Logprobs(std::size_t vocab_size)
    : table_(&kernels::kernel_table(kernels::best_isa())), weights_(vocab_size) {}

void Logprobs::read(std::span<const float> logits) noexcept {
  logits_ = logits;
  const float top = *std::max_element(logits.begin(), logits.end());
  for (std::size_t i = 0; i < logits.size(); ++i) weights_[i] = logits[i] - top;
  table_->rows.exp(weights_.data(), logits.size(), weights_.data());
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) sum += static_cast<double>(weights_[i]);
  log_sum_ = static_cast<double>(top) + kernels::log(sum);
}

float Logprobs::of(TokenId token) const noexcept {
  return static_cast<float>(static_cast<double>(logits_[static_cast<std::size_t>(token)]) - log_sum_);
}

void Logprobs::top(std::span<TokenLogprob> out) const noexcept {
  std::fill(out.begin(), out.end(), TokenLogprob{0, -std::numeric_limits<float>::infinity()});
  if (out.empty()) return;
  std::size_t found = 0;
  // Insertion into a short list: nearly every token ends at the first comparison.
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    if (found == out.size() && !(logits_[i] > out[found - 1].logprob)) continue;
    std::size_t place = found < out.size() ? found++ : found - 1;
    for (; place > 0 && logits_[i] > out[place - 1].logprob; --place) out[place] = out[place - 1];
    out[place] = {static_cast<TokenId>(i), logits_[i]};
  }
  for (std::size_t i = 0; i < found; ++i) out[i].logprob = of(out[i].token);
}

}  // namespace minke::engine
