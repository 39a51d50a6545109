// Guessing tokens before the model says them: a guess that is right saves a step.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/request.h"

namespace minke::engine {

/// How much speaks for a guess, from little to much, in the drafter's own terms: how often such guesses were right is
/// learned for each.
inline constexpr std::size_t kEvidences = 4;
/// Most tokens of a reply that are guessed at once.
inline constexpr std::size_t kMostDraft = 31;

/// What a drafter keeps for one reply.
class DraftState {
 public:
  virtual ~DraftState() = default;
};

struct DraftJob {
  DraftState* state = nullptr;       ///< null: nothing is guessed
  std::span<const TokenId> history;  ///< prompt and reply; since the last call tokens were only added
  std::size_t most = 0;              ///< tokens that may be guessed, at most kMostDraft
  std::size_t count = 0;             ///< tokens that were
  std::array<TokenId, kMostDraft> tokens{};
  std::array<std::uint8_t, kMostDraft> evidence{};
};

/// Where guesses come from. Every reply of a step is asked for at once, so that a drafter that is a model itself (a
/// small one, or prediction heads) can run them together. The compute thread's. A guess changes when tokens come, never
/// which.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// A reply of at most `most_tokens`, prompt included. The only call that may allocate.
  virtual std::unique_ptr<DraftState> open(std::size_t most_tokens) = 0;
  /// Fills in `count`, `tokens` and `evidence` of each.
  virtual void draft(std::span<DraftJob> jobs) noexcept = 0;
};

}  // namespace minke::engine
