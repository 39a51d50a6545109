// Embeddings: the model's last hidden states of each input, pooled and brought to length one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/answer.h"
#include "api/dialect.h"
#include "api/model.h"

namespace minke::api {

struct EmbeddingOptions {
  std::string model;  ///< as the request named it
  Dialect dialect = Dialect::openai;
  bool base64 = false;
  double load_seconds = 0;  ///< that the request waited for the model to be loaded; Ollama's clients are told
};

/// Submits some of `inputs` at once and the others as these end, so that one request does not fill the queue.
/// `request`: what they share. Throws ApiError.
std::unique_ptr<Stream> make_embedding_stream(std::shared_ptr<const Model> model,
                                              std::vector<std::vector<engine::TokenId>> inputs,
                                              const engine::Request& request, EmbeddingOptions options,
                                              std::function<void()> notify);

}  // namespace minke::api
