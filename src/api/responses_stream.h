// Replies as OpenAI's responses: items of reasoning and messages, whole or as named events with numbers.
#pragma once

#include <memory>
#include <vector>

#include <boost/json/object.hpp>

#include "api/answer.h"
#include "api/reply_format.h"
#include "api/responses_tools.h"
#include "text/tokenizer.h"

namespace minke::api {

struct ResponsesOptions {
  boost::json::object echo;          ///< fields of the request that the response gives back
  std::vector<ResponsesTool> tools;  ///< of the request
  bool logprobs = false;             ///< beside the text
  bool events = false;
};

std::unique_ptr<Stream> make_responses_stream(std::unique_ptr<Generation> generation, Envelope envelope,
                                              ResponsesOptions options, const text::Tokenizer& tokenizer);

}  // namespace minke::api
