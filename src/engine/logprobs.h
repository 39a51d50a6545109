// Log-probabilities out of logits.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/events.h"

namespace minke::kernels {
struct KernelTable;
}

namespace minke::engine {

/// Of one row of logits at a time: ln softmax, the sum of exponentials in ascending order of ids.
class Logprobs {
 public:
  explicit Logprobs(std::size_t vocab_size);

  /// `logits` (vocab), finite; must stay as they are while this is asked about them.
  void read(std::span<const float> logits) noexcept;
  float of(TokenId token) const noexcept;
  /// The most likely ones, best first, the lowest id among equals; as many as `out` has room for (at most
  /// kMaxTopLogprobs; a smaller vocabulary leaves the rest as id 0 with -infinity).
  void top(std::span<TokenLogprob> out) const noexcept;

 private:
  const kernels::KernelTable* table_;
  std::span<const float> logits_;
  std::vector<float> weights_;
  double log_sum_ = 0;
};

}  // namespace minke::engine
