// POST /api/chat and /api/generate, Ollama's: what is asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/idle_time.h"
#include "api/request_fields.h"
#include "api/tool_request.h"
#include "text/chat.h"

namespace minke::api {

struct OllamaRequest {
  CommonRequest common;
  std::vector<text::Message> messages;  ///< of a chat; of generate: `system` and `prompt`, unless it is raw
  bool continue_last = false;           ///< the last message is the assistant's: the reply goes on from it
  std::string prompt;                   ///< of a generate that is raw or has a suffix: text as it is
  std::string suffix;                   ///< of generate: what comes after the reply
  bool raw = false;
  text::Thinking thinking = text::Thinking::automatic;
  ToolRequest tools;
  /// No messages, no prompt: clients ask so for the model to be loaded.
  bool nothing = false;
  std::optional<IdleTime> idle;  ///< how long the model stays when nobody uses it
};

/// "keep_alive": seconds as a number, or a text. Throws ApiError.
std::optional<IdleTime> parse_keep_alive(const Fields& request);

/// Throw ApiError.
OllamaRequest parse_ollama_chat(const Fields& request);
OllamaRequest parse_ollama_generate(const Fields& request);

}  // namespace minke::api
