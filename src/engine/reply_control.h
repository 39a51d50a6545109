// What stands between drawing a token and reporting it: thinking, stop strings, what is held back.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

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

/// One sample's. Plain state: a copy goes on alone. After construction nothing allocates but a stop string's find.
class ReplyControl {
 public:
  ReplyControl() = default;
  /// `request` and `plan` stay; `most_tokens`: of the reply.
  ReplyControl(const Request& request, const ControlPlan& plan, std::size_t most_tokens);

  const ThinkingControl& thinking() const noexcept { return thinking_; }
  /// The token that is to be written next whatever the model says, if any.
  std::optional<TokenId> forced() const noexcept {
    return thinking_.forced().empty() ? std::nullopt : std::optional(thinking_.forced().front());
  }
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
  void look_for_stops(std::span<const TokenId> reply);

  const Request* request_ = nullptr;
  const ControlPlan* plan_ = nullptr;
  ThinkingControl thinking_;
  StopStrings::State stops_;
  bool leading_ = false;  // thinking was closed, and the answer has nothing but newlines yet
  std::size_t reportable_ = 0;
  std::optional<Stop> stop_;
};

}  // namespace minke::engine
