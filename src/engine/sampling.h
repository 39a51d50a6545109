// Choosing the next token from logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/dry.h"

namespace minke::kernels {
struct KernelTable;
}

namespace minke::engine {

/// As OpenAI's API has it: -100 as good as forbids a token, 100 as good as forces it.
struct LogitBias {
  std::int32_t token = 0;
  double bias = 0;
};
inline constexpr std::size_t kMaxBiases = 1024;

/// A logit that cannot be drawn beside any other, finite so that it is no error of the model.
inline constexpr float kForbidden = -1e30f;

/// Applied in this order, as Hugging Face's generate() does: repetition penalty (CTRL, Keskar et al. 2019:
/// logit / r if positive, else logit * r, for every token of the history, prompt included), presence and
/// frequency penalties (OpenAI's API: of the reply alone), DRY (dry.h), biases, temperature, top-k, top-p (Holtzman et
/// al. 2020: the smallest set whose probability reaches p), min-p (Nguyen et al. 2024: at least min_p times the most
/// likely one's probability).
struct SamplingParams {
  double temperature = 1.0;     ///< [0, 100]; 0: the most likely token, lowest id among equals
  std::int64_t top_k = 0;       ///< 0: off
  double top_p = 1.0;           ///< (0, 1]; 1: off
  double min_p = 0.0;           ///< [0, 1]; 0: off
  double repeat_penalty = 1.0;  ///< (0, 10]; 1: off
  std::uint64_t seed = 0;
  double presence_penalty = 0;   ///< [-2, 2]; taken from the logit of each token that is in the reply
  double frequency_penalty = 0;  ///< [-2, 2]; the same, as often as it is there
  DryParams dry;
  /// Added to tokens' logits; [-100, 100], at most kMaxBiases.
  std::vector<LogitBias> logit_bias;

  /// Whether drawing changes the row of logits.
  bool changes_logits() const noexcept {
    return repeat_penalty != 1.0 || presence_penalty != 0 || frequency_penalty != 0 || dry.multiplier != 0 ||
           !logit_bias.empty();
  }
  /// Throws Error(invalid_argument) naming the field that is out of range or not finite.
  void validate() const;
};

/// Throws Error(numeric) that names the token and the position when a logit of a row is NaN or infinite.
void check_finite(std::span<const float> logits, std::uint64_t position);

/// Draws tokens, for one reply or for several in turn. A draw depends on the logits, the params, the history and the
/// position alone: not on earlier draws, timing, instruction set or other requests. Nothing sorts the vocabulary: the
/// largest logit of each run of 256 bounds what a top-k or top-p set can reach down to.
class Sampler {
 public:
  Sampler(const SamplingParams& params, std::size_t vocab_size);
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  /// From here on draws for another reply: `stream` tells replies with one seed apart, and what precedes the reply in
  /// its history has `prompt` tokens. `params` are valid and stay.
  void use(const SamplingParams& params, std::uint64_t stream, std::size_t prompt) noexcept {
    params_ = &params;
    stream_ = stream;
    prompt_ = prompt;
  }

  /// `logits`: [vocab], changed in place. `history`: every token before this one. `position`: index of the
  /// token to be drawn. Throws Error(numeric) when a logit is NaN or infinite.
  std::int32_t sample(std::span<float> logits, std::span<const std::int32_t> history, std::uint64_t position);

 private:
  struct Candidate {
    float logit;
    std::int32_t id;
  };
  void penalise(std::span<float> logits, std::span<const std::int32_t> history);
  void penalise_reply(std::span<float> logits, std::span<const std::int32_t> reply);
  void scan(std::span<const float> logits, std::uint64_t position);
  std::int32_t most_likely(std::span<const float> logits) const;
  std::span<Candidate> largest(std::span<const float> logits, std::size_t count);
  void weigh(std::span<const float> logits);
  double weigh(std::span<const Candidate> candidates);
  std::span<const Candidate> nucleus(std::span<const float> logits, double& mass);
  std::span<const Candidate> likely_enough(std::span<const float> logits);
  std::int32_t draw_any(std::size_t count, double uniform) const;

  SamplingParams own_;
  const SamplingParams* params_;
  std::uint64_t stream_ = 0;
  std::size_t prompt_ = 0;
  const kernels::KernelTable* table_;  // of the best instruction set: all give the same bits
  float top_ = 0;                      // the largest logit
  std::vector<float> chunk_tops_;      // the largest logit of each chunk
  std::vector<float> bounds_;          // scratch of the same size
  std::vector<Candidate> candidates_;  // scratch: (vocab)
  std::vector<float> weights_;         // (vocab): of every token, or of the candidates
  std::vector<double> chunk_sums_;     // of weights_
  std::vector<std::uint8_t> seen_;     // (vocab): all zero between uses
};

}  // namespace minke::engine
