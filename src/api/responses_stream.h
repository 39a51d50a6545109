// Replies as OpenAI's responses: items of reasoning and messages, whole or as named events with numbers.
#pragma once

#include <memory>

#include <boost/json/object.hpp>

#include "api/answer.h"
#include "api/reply_format.h"
#include "text/tokenizer.h"

namespace minke::api {

/// `echo`: fields of the request that the response gives back. `logprobs`: beside the text.
std::unique_ptr<Stream> make_responses_stream(std::unique_ptr<Generation> generation, Envelope envelope,
                                              boost::json::object echo, const text::Tokenizer& tokenizer, bool logprobs,
                                              bool events);

}  // namespace minke::api
