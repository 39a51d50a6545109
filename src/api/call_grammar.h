// Replies with calls as grammars: what a family's format is, and what of it is free.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/tool_request.h"
#include "constrain/grammar.h"
#include "engine/request.h"
#include "text/chat.h"

namespace minke::api {

struct CallGrammar {
  const text::ChatEncoding* encoding = nullptr;
  /// The token of a marker's spelling, if the vocabulary has one.
  std::function<std::optional<engine::TokenId>(std::string_view)> find_token;
  const ToolRequest* tools = nullptr;
  /// What the reply is where it calls nothing, if that has to be JSON; null: any text.
  const constrain::Grammar* answer = nullptr;
};

/// A grammar (Lark) of replies that are calls of `tools`, in the family's own format, or, unless a call is required,
/// the answer. Arguments of strict tools are as their schemas have them, others' are any object. Throws ApiError
/// (unsupported) for what the format cannot hold.
constrain::Grammar call_grammar(const CallGrammar& asked);

}  // namespace minke::api
