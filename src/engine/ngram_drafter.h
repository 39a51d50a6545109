// Guesses from the reply's own history: what followed the last time that the same words stood there.
#pragma once

#include <vector>

#include "engine/drafter.h"

namespace minke::engine {

/// Prompt lookup (Saxena 2023; Yang et al., "Inference with Reference", 2023): the continuation of the latest of the
/// longest earlier occurrences of the last tokens. Two tokens must agree at least.
class NgramDrafter final : public Drafter {
 public:
  /// Evidence of a guess whose last `length` tokens agree.
  static std::uint8_t evidence_of(std::size_t length) noexcept;

  std::unique_ptr<DraftState> open(std::size_t most_tokens) override;
  void draft(std::span<DraftJob> jobs) noexcept override;
};

}  // namespace minke::engine
