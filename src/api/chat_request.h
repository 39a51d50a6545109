// POST /v1/chat/completions and /chat/completions: what is asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/request_fields.h"
#include "api/tool_request.h"
#include "text/chat.h"

namespace minke::api {

struct ChatRequest {
  CommonRequest common;
  std::vector<text::Message> messages;
  bool continue_last = false;  ///< the last message is the beginning of the reply
  text::Thinking thinking = text::Thinking::automatic;
  ToolRequest tools;
  std::optional<std::size_t> logprobs;  ///< so many of the most likely tokens beside each drawn one
};

/// Throws ApiError.
ChatRequest parse_chat_request(const Fields& request);

/// A message's content: a string, or parts of text, joined; empty when there is none. Throws ApiError.
std::string parse_content(const Fields& message, std::string_view key = "content");

/// The array of "messages" alone. Throws ApiError.
std::vector<text::Message> parse_messages(const Fields& request);

}  // namespace minke::api
