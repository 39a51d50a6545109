// Which guesses are worth a row of a step.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/drafter.h"
#include "engine/step_cost.h"

namespace minke::engine {

/// How often guesses were right, lately, for one reply. Guesses that got no row are judged as well, once the token
/// that they were for is known: so speculation that was left off comes back.
struct DraftRecord {
  /// By evidence. Begins where n-grams in code and prose were found to be.
  std::array<float, kEvidences> chance = {0.3F, 0.5F, 0.7F, 0.85F};

  void learn(std::uint8_t evidence, bool right) noexcept {
    constexpr float kNewest = 0.125F;
    chance[evidence] += kNewest * ((right ? 1.0F : 0.0F) - chance[evidence]);
  }
};

/// Chooses how many guesses of each reply join a step: those most likely right, as many as make most tokens a second by
/// what steps of such numbers of rows have taken.
class Speculation {
 public:
  /// Rows that guesses take in a step, at most.
  static constexpr std::size_t kMostRows = 32;

  explicit Speculation(std::size_t most_replies);

  struct Candidate {
    const DraftJob* job = nullptr;
    const DraftRecord* record = nullptr;
    bool always = false;   ///< all its guesses, whether they pay or not
    std::size_t rows = 0;  ///< chosen: the first of the job's tokens
  };
  /// `candidates`: every decoding reply, each with one row for sure, and no `rows` yet.
  void choose(std::span<Candidate> candidates, const StepCost& cost) noexcept;

 private:
  std::vector<float> chances_;  ///< of each reply's next guess: that it and all before it are right
  std::vector<std::uint32_t> order_;
  std::size_t since_tried_ = 0;  ///< steps without guesses that had some which were likely
};

}  // namespace minke::engine
