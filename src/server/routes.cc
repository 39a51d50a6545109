#include "server/routes.h"

#include <utility>

namespace minke::server {
namespace {

using api::Dialect;

constexpr Route kRoutes[] = {
    {"GET", "/", Action::index, Scope::open},
    {"GET", "/health", Action::health, Scope::open},
    {"GET", "/ready", Action::ready, Scope::open},
    {"GET", "/metrics", Action::metrics},
    {"GET", "/v1/models", Action::models},
    {"GET", "/v1/models/", Action::model},
    {"GET", "/models", Action::models, Scope::inference, Dialect::deepseek},
    {"GET", "/models/", Action::model, Scope::inference, Dialect::deepseek},
    {"GET", "/user/balance", Action::balance, Scope::inference, Dialect::deepseek},
    {"POST", "/v1/chat/completions", Action::chat},
    {"POST", "/chat/completions", Action::chat, Scope::inference, Dialect::deepseek},
    {"POST", "/beta/chat/completions", Action::chat, Scope::inference, Dialect::deepseek},
    {"POST", "/v1/completions", Action::completions},
    {"POST", "/completions", Action::completions, Scope::inference, Dialect::deepseek},
    {"POST", "/beta/completions", Action::completions, Scope::inference, Dialect::deepseek},
    {"POST", "/v1/embeddings", Action::embeddings},
    {"POST", "/embeddings", Action::embeddings, Scope::inference, Dialect::deepseek},
    {"POST", "/v1/responses", Action::responses},
    {"POST", "/responses", Action::responses, Scope::inference, Dialect::deepseek},
    {"POST", "/v1/messages", Action::messages, Scope::inference, Dialect::anthropic},
    {"POST", "/v1/messages/count_tokens", Action::count_tokens, Scope::inference, Dialect::anthropic},
    {"POST", "/anthropic/v1/messages", Action::messages, Scope::inference, Dialect::anthropic},
    {"POST", "/anthropic/v1/messages/count_tokens", Action::count_tokens, Scope::inference, Dialect::anthropic},
    {"GET", "/api/version", Action::ollama_version, Scope::inference, Dialect::ollama},
    {"GET", "/api/tags", Action::ollama_tags, Scope::inference, Dialect::ollama},
    {"GET", "/api/ps", Action::ollama_running, Scope::inference, Dialect::ollama},
    {"POST", "/api/show", Action::ollama_show, Scope::inference, Dialect::ollama},
    {"POST", "/api/chat", Action::ollama_chat, Scope::inference, Dialect::ollama},
    {"POST", "/api/generate", Action::ollama_generate, Scope::inference, Dialect::ollama},
    {"POST", "/api/embed", Action::ollama_embed, Scope::inference, Dialect::ollama},
    {"POST", "/tokenize", Action::tokenize},
    {"POST", "/v1/tokenize", Action::tokenize},
    {"GET", "/v1/streams/", Action::resume},
    {"DELETE", "/v1/streams/", Action::forget},
    {"POST", "/detokenize", Action::detokenize},
    {"POST", "/v1/detokenize", Action::detokenize},
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Once; nothing when an escape is malformed.
std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Match find_route(std::string_view method, std::string_view path) {
  Match match;
  if (method == "HEAD") method = "GET";
  for (const Route& route : kRoutes) {
    const bool takes_name = route.path.size() > 1 && route.path.ends_with('/');
    if (takes_name ? !(path.starts_with(route.path) && path.size() > route.path.size()) : path != route.path) continue;
    if (method != route.method) {
      if (!match.allowed.empty()) match.allowed += ", ";
      match.allowed += route.method;
      continue;
    }
    if (takes_name) {
      auto name = unescaped(path.substr(route.path.size()));
      if (!name) continue;
      match.name = std::move(*name);
    }
    match.route = &route;
    return match;
  }
  return match;
}

}  // namespace minke::server
