// Control of a reply's thinking: how long it may be, how long it has to be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/cycle.h"

namespace minke::engine {

/// Budget forcing (s1, Muennighoff et al. 2025), generalised. Thinking is what comes between the two markers, each a
/// token of its own; what is written by force is computed like drawn tokens and counts as such.
struct ThinkingOptions {
  std::int32_t begin = -1;  ///< opens it, as the first token of a reply (blank ones may precede); -1: never
  std::int32_t end = -1;    ///< closes it; -1: the reply has no thinking, and what follows means nothing
  bool open = false;        ///< the prompt has opened it
  /// Most tokens of thinking; then `close` is written and the model answers. Unset: kDefaultShare of what the reply may
  /// have, at most kDefaultMost.
  std::optional<std::size_t> max_tokens;
  std::vector<std::int32_t> close;  ///< has `end` in it; empty: `end` alone
  /// Before so many tokens, `wait` is written where the model would close, and it goes on thinking: at most most_waits
  /// times.
  std::size_t min_tokens = 0;
  std::vector<std::int32_t> wait;
  std::size_t most_waits = 0;
  bool close_cycles = true;  ///< thinking that has come to repeat itself (cycle.h) is closed

  static constexpr double kDefaultShare = 0.75;
  static constexpr std::size_t kDefaultMost = 32768;
  static constexpr std::size_t kMostForced = 256;  ///< tokens of `close` and of `wait`
  static constexpr std::size_t kMostWaits = 1000;

  /// Errors (invalid_argument) name the field.
  void validate(std::size_t vocab_size) const;
};

/// One reply's. A copy goes on alone.
class ThinkingControl {
 public:
  /// Everything is answer.
  ThinkingControl() = default;
  /// `options` were validated and stay; `most_tokens`: of the reply.
  ThinkingControl(const ThinkingOptions& options, std::size_t most_tokens);

  bool thinking() const noexcept { return state_ == State::thinking; }
  bool answering() const noexcept { return state_ == State::answer; }
  /// The opening marker may come now.
  bool may_open() const noexcept { return state_ == State::before; }
  /// Tokens of thinking so far, its markers left out.
  std::size_t tokens() const noexcept { return tokens_; }
  /// What is to be written next without being drawn.
  std::span<const std::int32_t> forced() const noexcept { return forced_; }

  /// The token to write where `drawn` was drawn, which `ends` the reply or does not: another one when thinking is to go
  /// on, or when the reply would end inside it.
  std::int32_t redirect(std::int32_t drawn, bool ends) noexcept;
  /// A token was written. `row`: prompt and reply, with it; `bytes`: its own, if known.
  void took(std::span<const std::int32_t> row, std::string_view bytes) noexcept;

 private:
  enum class State {
    before,  // nothing but blanks yet
    thinking,
    answer,
  };
  std::span<const std::int32_t> closing() const noexcept;

  const ThinkingOptions* options_ = nullptr;
  State state_ = State::answer;
  std::size_t limit_ = 0;
  std::size_t tokens_ = 0, waits_ = 0;
  std::span<const std::int32_t> forced_;  // of options_
  CycleDetector cycle_;
};

}  // namespace minke::engine
