// Choosing the next token from logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace minke::engine {

/// Applied in this order, as Hugging Face's generate() does: repetition penalty (CTRL, Keskar et al. 2019:
/// logit / r if positive, else logit * r, for every token of the history, prompt included), temperature,
/// top-k, top-p (Holtzman et al. 2020: the smallest set whose probability reaches p), min-p (Nguyen et al.
/// 2024: at least min_p times the most likely one's probability).
struct SamplingParams {
  double temperature = 1.0;     ///< [0, 100]; 0: the most likely token, lowest id among equals
  std::int64_t top_k = 0;       ///< 0: off
  double top_p = 1.0;           ///< (0, 1]; 1: off
  double min_p = 0.0;           ///< [0, 1]; 0: off
  double repeat_penalty = 1.0;  ///< (0, 10]; 1: off
  std::uint64_t seed = 0;

  /// Throws Error(invalid_argument) naming the field that is out of range or not finite.
  void validate() const;
};

/// Throws Error(numeric) that names the token and the position when a logit of a row is NaN or infinite.
void check_finite(std::span<const float> logits, std::uint64_t position);

/// Draws tokens for one reply. A draw depends on the logits, the params, the history and the position
/// alone: not on earlier draws, timing or other requests.
class Sampler {
 public:
  Sampler(const SamplingParams& params, std::size_t vocab_size);

  /// `logits`: [vocab], changed in place. `history`: every token before this one. `position`: index of the
  /// token to be drawn. Throws Error(numeric) when a logit is NaN or infinite.
  std::int32_t sample(std::span<float> logits, std::span<const std::int32_t> history, std::uint64_t position);

 private:
  struct Candidate {
    float logit;
    std::int32_t id;
  };
  std::int32_t draw(std::span<Candidate> candidates, std::uint64_t position);

  SamplingParams params_;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
  std::vector<std::uint8_t> seen_;
};

}  // namespace minke::engine
