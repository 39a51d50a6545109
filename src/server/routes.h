// The routes: which methods and paths there are, who may use them, and whose rules they follow.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/dialect.h"

namespace minke::server {

enum class Scope {
  open,       ///< everybody: says that there is a server, and how it is
  inference,  ///< whoever has a key
};

enum class Action {
  index,
  health,
  ready,
  metrics,
  balance,
  models,
  model,
  chat,
  completions,
  embeddings,
  responses,
  tokenize,
  detokenize,
  messages,
  count_tokens,
  ollama_version,
  ollama_tags,
  ollama_running,
  ollama_show,
  ollama_chat,
  ollama_generate,
  ollama_embed,
  resume,
  forget
};

struct Route {
  std::string_view method, path;  ///< a path that ends in '/' takes a name after it
  Action action = Action::index;
  Scope scope = Scope::inference;
  api::Dialect dialect = api::Dialect::openai;
};

std::span<const Route> routes();

struct Match {
  const Route* route = nullptr;  ///< null: there is none
  std::string name;              ///< what followed the path, %-escapes decoded
  std::string allowed;           ///< the methods that the path has, where only the method is wrong: "GET, DELETE"
};
Match find_route(std::string_view method, std::string_view path);

}  // namespace minke::server
