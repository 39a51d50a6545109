// The routes' work, without a socket: a request's body in, an answer out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/answer.h"
#include "api/call_store.h"
#include "api/dialect.h"
#include "api/embedding_request.h"
#include "api/model.h"
#include "api/model_pool.h"

namespace minke::api {

struct OllamaRequest;
enum class OllamaKind;

/// Who asks. Turns are taken between names; a cached prefix is reused under the name that computed it.
struct Identity {
  std::string name;
};

struct Call {
  Dialect dialect = Dialect::openai;
  std::string_view body;
  Identity identity;
  /// Called on the compute thread when the answer, if it is a stream, may have more.
  std::function<void()> notify;
  /// It may take seconds; else TakesLong is thrown where it would (constraint.h).
  bool patient = true;
  /// Held for this call already: it is answered though the pool has meanwhile chosen it to be unloaded.
  std::shared_ptr<const Model> model = nullptr;
  double load_seconds = 0;  ///< that this call waited for the model to be loaded
};

/// What goes into a ModelAbsent.
struct ModelWish {
  bool events = false;
  std::optional<IdleTime> idle = std::nullopt;
  std::string piece = {};
  std::function<std::string(const ApiError&)> failed = {};  ///< instead of the dialect's own
};

/// Every function may be called from any thread, and throws ApiError; those that need a model also ModelAbsent when it
/// is not loaded, but has only to be.
class Service {
 public:
  explicit Service(std::shared_ptr<ModelPool> pool) : pool_(std::move(pool)) {}
  /// Of one model, which stays.
  explicit Service(std::shared_ptr<const Model> model) : Service(std::make_shared<ModelPool>(std::move(model))) {}

  Answer chat_completions(const Call& call) const;
  Answer completions(const Call& call) const;
  Answer embeddings(const Call& call) const;
  Answer responses(const Call& call) const;
  /// Anthropic's.
  Answer messages(const Call& call) const;
  Response count_tokens(const Call& call) const;
  /// Ollama's (service_ollama.cc).
  Answer ollama_chat(const Call& call) const;
  Answer ollama_generate(const Call& call) const;
  Answer ollama_embed(const Call& call) const;
  Response ollama_tags() const;
  Response ollama_running() const;
  Response ollama_show(const Call& call) const;
  /// {"tokens","count","max_model_len"} of llama.cpp's "content", vLLM's "prompt", or "messages".
  Response tokenize(const Call& call) const;
  Response detokenize(const Call& call) const;
  Response models(Dialect dialect) const;
  /// One of them, by name.
  Response model(std::string_view name, Dialect dialect) const;

  ModelPool& pool() const noexcept { return *pool_; }

 private:
  Offer offer_of(std::string_view name, Dialect dialect) const;
  std::shared_ptr<const Model> find(std::string_view name, const Call& call, ModelWish wish = {}) const;
  Answer ollama_reply(OllamaRequest&& asked, OllamaKind kind, const Call& call) const;
  /// A chat's prompt; messages with calls that were made here are completed before.
  Prompt tool_prompt(const Model& model, Conversation chat, std::vector<text::Message>& messages,
                     const engine::Request& request, std::string_view id_prefix) const;
  Answer embed(EmbeddingRequest&& asked, const Call& call) const;

  std::shared_ptr<ModelPool> pool_;
  std::shared_ptr<CallStore> calls_ = std::make_shared<CallStore>();
};

}  // namespace minke::api
