// POST /v1/messages, Anthropic's: what is asked for.
#pragma once

#include <string>
#include <vector>

#include "api/request_fields.h"
#include "api/tool_request.h"
#include "text/chat.h"

namespace minke::api {

struct MessagesRequest {
  CommonRequest common;
  std::vector<text::Message> messages;  ///< `system` is the first one
  bool continue_last = false;           ///< the last message is the assistant's: the reply goes on from it
  text::Thinking thinking = text::Thinking::automatic;
  ToolRequest tools;
};

/// `counting`: for count_tokens, which needs no max_tokens. Throws ApiError.
MessagesRequest parse_messages_request(const Fields& request, bool counting);

}  // namespace minke::api
