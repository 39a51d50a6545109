// POST /v1/responses, OpenAI's: what is asked for. Nothing is stored: each request has its whole history.
#pragma once

#include <optional>
#include <vector>

#include <boost/json/object.hpp>

#include "api/request_fields.h"
#include "api/responses_tools.h"
#include "text/chat.h"

namespace minke::api {

struct ResponsesRequest {
  CommonRequest common;
  std::vector<text::Message> messages;  ///< `instructions` are the first one
  text::Thinking thinking = text::Thinking::automatic;
  ResponsesTools tools;
  std::optional<std::size_t> logprobs;  ///< so many of the most likely tokens beside each drawn one
  boost::json::object echo;             ///< fields that a response gives back
};

/// Throws ApiError.
ResponsesRequest parse_responses_request(const Fields& request);

}  // namespace minke::api
