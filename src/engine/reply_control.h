// What stands between drawing a token and reporting it: thinking, stop strings, what is held back.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/mask_worker.h"
#include "engine/request.h"
#include "engine/stop_strings.h"
#include "engine/thinking.h"
#include "engine/token_bytes.h"

namespace minke::engine {

/// Of a request, prepared when it is submitted; its samples share it.
struct ControlPlan {
  ControlPlan() = default;
  /// Errors (invalid_argument) name the field. `bytes` may be null: then there can be no stop strings.
  ControlPlan(const Request& request, std::shared_ptr<const TokenBytes> bytes, std::size_t vocab_size);

  StopStrings stops;
  std::shared_ptr<const TokenBytes> bytes;
};

/// One sample's; a copy goes on alone. After construction nothing allocates but a stop string's find.
class ReplyControl {
 public:
  ReplyControl() = default;
  /// `request` and `plan` stay; `most_tokens`: of the reply; `vocab`: logits of a row.
  ReplyControl(const Request& request, const ControlPlan& plan, std::size_t most_tokens, std::size_t vocab);

  const ThinkingControl& thinking() const noexcept { return thinking_; }
  /// The token that is to be written next whatever the model says, if any.
  std::optional<TokenId> forced() const noexcept {
    return thinking_.forced().empty() ? std::nullopt : std::optional(thinking_.forced().front());
  }
  /// Of the next token that is drawn; null where everything may come: without a constraint, and in thinking.
  const std::shared_ptr<MaskState>& constraint() const noexcept {
    return thinking_.thinking() ? kUnconstrained : constraint_.state;
  }
  /// A token that may be drawn whatever the constraint says, or -1: the one that opens thinking.
  TokenId always_allowed() const noexcept { return thinking_.may_open() ? request_->thinking.begin : -1; }
  /// The token to write where `drawn` was drawn, which `ends` the reply or does not.
  TokenId redirect(TokenId drawn, bool ends) noexcept { return thinking_.redirect(drawn, ends); }
  /// A token was written: `row` is prompt and reply with it, `prompt` tokens of it the prompt.
  void took(std::span<const TokenId> row, std::size_t prompt);

  /// Tokens of the reply that may be reported by now: those after them may yet turn out to be a stop string.
  std::size_t reportable() const noexcept { return reportable_; }

  /// A stop string is complete: the reply ends before it.
  struct Stop {
    std::size_t index = 0;  ///< of Request::stop_strings
    std::string tail;       ///< bytes that precede it in the token in which it begins
  };
  const std::optional<Stop>& stop() const noexcept { return stop_; }

 private:
  /// A copy starts from the constraint's beginning: samples part before their first token.
  struct Constraint {
    Constraint() = default;
    Constraint(const Constraint& other) { *this = other; }
    Constraint& operator=(const Constraint& other) {
      if (this != &other)
        state = other.state ? std::make_shared<MaskState>(other.state->beginning(), other.state->vocab()) : nullptr;
      return *this;
    }
    Constraint(Constraint&&) noexcept = default;
    Constraint& operator=(Constraint&&) noexcept = default;
    ~Constraint() = default;
    std::shared_ptr<MaskState> state;
  };
  static const std::shared_ptr<MaskState> kUnconstrained;  // null

  void look_for_stops(std::span<const TokenId> reply);

  const Request* request_ = nullptr;
  const ControlPlan* plan_ = nullptr;
  ThinkingControl thinking_;
  Constraint constraint_;
  StopStrings::State stops_;
  bool leading_ = false;  // thinking was closed, and the answer has nothing but newlines yet
  std::size_t reportable_ = 0;
  std::optional<Stop> stop_;
};

}  // namespace minke::engine
