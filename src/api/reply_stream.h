// The streams of chats and completions: pieces of text in a format, as server-sent events or as one document.
#pragma once

#include <memory>

#include "api/answer.h"
#include "api/reply_format.h"

namespace minke::api {

struct StreamOptions {
  bool events = false;
  bool include_usage = false;
  Dialect dialect = Dialect::openai;
};

std::unique_ptr<Stream> make_reply_stream(std::unique_ptr<Generation> generation, std::unique_ptr<ReplyFormat> format,
                                          const StreamOptions& options);

}  // namespace minke::api
