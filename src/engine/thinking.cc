#include "engine/thinking.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace minke::engine {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

void check_tokens(std::string_view field, std::span<const std::int32_t> tokens, std::size_t vocab_size) {
  if (tokens.size() > ThinkingOptions::kMostForced)
    throw Error(ErrorCode::invalid_argument, cat("thinking.", field, ": expected at most ",
                                                 ThinkingOptions::kMostForced, " tokens, got ", tokens.size()));
  for (const std::int32_t token : tokens)
    if (token < 0 || static_cast<std::size_t>(token) >= vocab_size)
      throw Error(ErrorCode::invalid_argument,
                  cat("thinking.", field, ": expected ids from 0 to ", vocab_size - 1, ", got ", token));
}

bool blank(std::string_view bytes) {
  return !bytes.empty() && bytes.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

void ThinkingOptions::validate(std::size_t vocab_size) const {
  if (end < 0) {
    if (open || max_tokens || min_tokens > 0)
      throw Error(ErrorCode::invalid_argument, "thinking.end: expected the token that closes thinking, got none",
                  "This model's replies have no thinking to control.");
    return;
  }
  check_tokens("end", {&end, 1}, vocab_size);
  if (begin >= 0) check_tokens("begin", {&begin, 1}, vocab_size);
  check_tokens("close", close, vocab_size);
  check_tokens("wait", wait, vocab_size);
  if (!close.empty() && std::count(close.begin(), close.end(), end) != 1)
    throw Error(ErrorCode::invalid_argument, cat("thinking.close: expected the closing token ", end, " once in it"));
  if (std::find(wait.begin(), wait.end(), end) != wait.end())
    throw Error(ErrorCode::invalid_argument, cat("thinking.wait: expected no closing token (", end, ") in it"));
  if (most_waits > kMostWaits)
    throw Error(ErrorCode::invalid_argument,
                cat("thinking.most_waits: expected at most ", kMostWaits, ", got ", most_waits));
  if (min_tokens > 0 && wait.empty())
    throw Error(ErrorCode::invalid_argument, "thinking.wait: expected the tokens to go on with, got none");
  if (max_tokens && min_tokens > *max_tokens)
    throw Error(ErrorCode::invalid_argument,
                cat("thinking.min_tokens: expected at most max_tokens (", *max_tokens, "), got ", min_tokens));
}

ThinkingControl::ThinkingControl(const ThinkingOptions& options, std::size_t most_tokens) {
  if (options.end < 0) return;
  options_ = &options;
  state_ = options.open ? State::thinking : options.begin >= 0 ? State::before : State::answer;
  const auto share = static_cast<std::size_t>(static_cast<double>(most_tokens) * ThinkingOptions::kDefaultShare);
  limit_ = options.max_tokens.value_or(std::min(ThinkingOptions::kDefaultMost, share));
  // A minimum that was asked for is not undone by a limit that was not.
  if (!options.max_tokens) limit_ = std::max(limit_, options.min_tokens);
  if (thinking() && limit_ == 0) forced_ = closing();
}

std::span<const std::int32_t> ThinkingControl::closing() const noexcept {
  return options_->close.empty() ? std::span(&options_->end, 1) : std::span(options_->close);
}

std::int32_t ThinkingControl::redirect(std::int32_t drawn, bool ends) noexcept {
  if (!thinking() || (drawn != options_->end && !ends)) return drawn;
  if (tokens_ < options_->min_tokens && waits_ < options_->most_waits) {
    ++waits_;
    forced_ = options_->wait;
    return forced_.front();
  }
  if (drawn == options_->end) return drawn;
  forced_ = closing();
  return forced_.front();
}

void ThinkingControl::took(std::span<const std::int32_t> row, std::string_view bytes) noexcept {
  if (options_ == nullptr) return;
  const std::int32_t token = row.back();
  if (!forced_.empty()) forced_ = forced_.subspan(1);
  switch (state_) {
    case State::before:
      if (token == options_->begin) {
        state_ = State::thinking;
        if (limit_ == 0) forced_ = closing();
      } else if (!blank(bytes)) {
        state_ = State::answer;
      }
      return;
    case State::thinking: {
      if (token == options_->end) {
        state_ = State::answer;
        return;
      }
      ++tokens_;
      const bool cycle = cycle_.push(row.last(tokens_)) && options_->close_cycles;
      if (forced_.empty() && (tokens_ >= limit_ || cycle)) forced_ = closing();
      return;
    }
    case State::answer:
      return;
  }
}

}  // namespace minke::engine
