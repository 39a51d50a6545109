// POST /v1/completions: what is asked for.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/request_fields.h"

namespace minke::api {

inline constexpr std::size_t kMaxPrompts = 16;
inline constexpr std::size_t kDefaultCompletionTokens = 16;  ///< OpenAI's

/// Text, or tokens as the client counted them.
using PromptText = std::variant<std::string, std::vector<engine::TokenId>>;

struct CompletionRequest {
  CommonRequest common;
  std::vector<PromptText> prompts;      ///< at least one
  std::optional<std::size_t> logprobs;  ///< so many of the most likely tokens beside each drawn one
  bool echo = false;
  std::string suffix;  ///< what comes after the reply: it fills the gap before this; prompts are texts then
};

/// Throws ApiError.
CompletionRequest parse_completion_request(const Fields& request);

/// An array of token ids at `place`. Throws ApiError.
std::vector<engine::TokenId> parse_tokens(const boost::json::array& array, const std::string& place);

}  // namespace minke::api
