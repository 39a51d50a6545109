// The interactive chat of `minke run`: terminal, line editor and model put together.
#pragma once

#include <string>

#include "cli/chat_model.h"
#include "cli/environment.h"
#include "cli/repl_settings.h"

namespace minke::cli {

struct ChatOptions {
  ChatSettings settings;
  std::string system;  ///< system prompt; empty: none
  std::string date;    ///< for encodings that print one
  ReplyFlags reply;
  std::optional<constrain::Grammar> grammar;
  bool hide_thinking = false;
  bool quiet = false;  ///< no footers
};

/// Chats until the person leaves; returns the exit status. The model must have an encoding.
int run_chat(const Environment& environment, ChatModel& model, const ChatOptions& options);

}  // namespace minke::cli
