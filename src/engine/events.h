// What the engine says about a request. Values only.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "engine/request.h"

namespace minke::engine {

enum class FinishReason {
  stop,       ///< a stop token, a stop string; or nothing was to be drawn
  length,     ///< max_tokens reached
  context,    ///< the context is full
  cancelled,  ///< the caller said so
  error,      ///< Finished::error has it
};
std::string_view to_string(FinishReason reason);

/// It waits. Told again when something changes.
struct Queued {
  std::size_t position = 0;   ///< 1: the next
  double estimated_wait = 0;  ///< seconds, from what is ahead and the present speed
};

struct PrefillProgress {
  std::size_t done = 0;  ///< prompt tokens in the cache by now, reused ones included
  std::size_t total = 0;
  std::size_t cached = 0;  ///< reused: whole blocks of 64, at most 64 * floor((total - 1) / 64)
};

/// Without initialisers: records reserve room for many of these, and pages that a reply does not reach are never
/// touched.
struct TokenLogprob {
  TokenId token;
  float logprob;  ///< natural logarithm, of the model's own distribution (before temperature and penalties)
};

struct TokenDrawn {
  std::size_t sample = 0;
  TokenId token = 0;
  std::optional<float> logprob;
  std::vector<TokenLogprob> top;  ///< best first
};

/// Entry i is of prompt token i + 1.
struct PromptLogprobs {
  std::vector<float> logprobs;
};

struct PooledHidden {
  std::vector<float> values;  ///< (hidden_size)
};

struct Usage {
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;    ///< of the prompt, reused when it was first admitted
  std::size_t output_tokens = 0;    ///< of this sample: drawn or written by force, the stop token included
  std::size_t thinking_tokens = 0;  ///< of these, the ones of its thinking
  std::size_t drafted_tokens = 0;   ///< guessed and run (speculation)
  std::size_t accepted_tokens = 0;  ///< of these, right: each saved a step
};

struct Timings {
  double queue_seconds = 0;    ///< from submit to admission
  double prefill_seconds = 0;  ///< from there to the first token
  double decode_seconds = 0;   ///< from there to the end
};

/// The last event of a sample.
struct Finished {
  std::size_t sample = 0;
  FinishReason reason = FinishReason::stop;
  std::optional<std::size_t> stop_string;  ///< which of Request::stop_strings ended it
  /// The answer's last bytes, after those of the tokens that were reported: of the token in which the stop string
  /// began.
  std::string tail;
  Usage usage;
  Timings timings;
  std::optional<base::Error> error;
};

using Event = std::variant<Queued, PrefillProgress, PromptLogprobs, PooledHidden, TokenDrawn, Finished>;

}  // namespace minke::engine
