// POST /v1/embeddings, and Ollama's /api/embed: what is asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/completion_request.h"
#include "api/idle_time.h"
#include "engine/request.h"

namespace minke::api {

inline constexpr std::size_t kMaxEmbeddingInputs = 2048;  ///< OpenAI's

struct EmbeddingRequest {
  std::string model, user;
  std::vector<PromptText> inputs;  ///< at least one
  engine::Pooling pooling = engine::Pooling::mean;
  std::size_t dimensions = 0;    ///< asked for; 0: the model's
  bool base64 = false;           ///< of 32-bit floats, the lowest byte first
  bool truncate = false;         ///< inputs longer than the context are cut, not refused
  std::optional<IdleTime> idle;  ///< OllamaRequest::idle
};

/// Throw ApiError.
EmbeddingRequest parse_embedding_request(const Fields& request);
EmbeddingRequest parse_ollama_embed(const Fields& request);

}  // namespace minke::api
