// POST /v1/chat/completions and /chat/completions: what is asked for.
#pragma once

#include <optional>
#include <vector>

#include "api/request_fields.h"
#include "text/chat.h"

namespace minke::api {

struct ChatRequest {
  CommonRequest common;
  std::vector<text::Message> messages;
  text::Thinking thinking = text::Thinking::automatic;
  std::optional<std::size_t> logprobs;  ///< so many of the most likely tokens beside each drawn one
};

/// Throws ApiError.
ChatRequest parse_chat_request(const Fields& request);

/// The array of "messages" alone. Throws ApiError.
std::vector<text::Message> parse_messages(const Fields& request);

}  // namespace minke::api
