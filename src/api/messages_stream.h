// Replies as Anthropic's messages: content blocks of thinking and text, whole or as named events.
#pragma once

#include <memory>
#include <string>

#include "api/answer.h"
#include "api/reply_format.h"

namespace minke::api {

std::unique_ptr<Stream> make_messages_stream(std::unique_ptr<Generation> generation, Envelope envelope, bool events);

}  // namespace minke::api
