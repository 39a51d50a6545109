// What a caller asks of the engine. Values only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/constraint.h"
#include "engine/sampling.h"
#include "engine/thinking.h"

namespace minke::engine {

using TokenId = std::int32_t;

enum class Priority {
  interactive,  ///< somebody waits for it
  batch,        ///< runs while nothing interactive waits, or after it has waited long
};

/// A summary of the model's last hidden states (after the output norm) in place of a reply.
enum class Pooling {
  none,  ///< tokens are drawn
  mean,  ///< of all of the prompt's positions
  last,  ///< of its last position
};

/// Whether tokens are guessed ahead (drafter.h). It changes when tokens come, never which.
enum class Speculate {
  automatic,  ///< guesses run where that saves time
  always,     ///< all of them do, up to what a step has room for: for measuring
  off,
};

/// The most likely tokens beside each drawn one that can be asked for.
inline constexpr std::size_t kMaxTopLogprobs = 20;

struct Request {
  std::vector<TokenId> tokens;  ///< the whole history, not empty: the engine finds what it can reuse of it
  SamplingParams sampling;
  std::size_t max_tokens = 0;  ///< 0: until the context is full
  std::size_t min_tokens = 0;  ///< before so many are drawn, no stop token is, and no stop string counts
  std::vector<TokenId> stop_tokens;
  bool ignore_eos = false;  ///< stop tokens are never drawn
  /// Texts that end the reply, across tokens' boundaries: nothing of one is reported. Looked for in the answer, not in
  /// thinking; the engine must know its tokens' bytes (EngineOptions::token_bytes).
  std::vector<std::string> stop_strings;
  ThinkingOptions thinking;
  /// What the answer has to be: from its first token on, or where thinking is closed.
  /// Each sample starts from a clone. Where the grammar leaves nothing but the reply's end, it ends.
  std::shared_ptr<const TokenConstraint> constraint;

  std::string identity;           ///< who asks: turns are taken between identities
  std::string salt;               ///< whose cache: a prefix is reused only under the salt that computed it
  std::size_t shared_prefix = 0;  ///< so many of the first tokens, in whole blocks, are reused under any salt
  Priority priority = Priority::interactive;
  std::size_t samples = 1;              ///< replies to this one prompt; reply i draws from stream i of the seed
  std::optional<std::size_t> logprobs;  ///< with each token its log-probability, and those of so many most likely ones
  bool prompt_logprobs = false;         ///< of each prompt token but the first; the prompt is then computed anew
  Pooling pooling = Pooling::none;
  std::optional<Speculate> speculate;  ///< unset: as the engine; where that is off nothing is guessed
};

}  // namespace minke::engine
