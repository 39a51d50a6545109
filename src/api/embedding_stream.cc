#include "api/embedding_stream.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/json_text.h"
#include "api/ollama_stream.h"
#include "base/cat.h"
#include "base/error.h"

namespace minke::api {
namespace {

namespace json = boost::json;

/// Inputs of one request in the engine's hands.
constexpr std::size_t kAtOnce = 8;

void normalise(std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  if (!(sum > 0) || !std::isfinite(sum))
    throw ApiError(Fault::internal, "the model gave an embedding without a direction");
  const double scale = 1 / std::sqrt(sum);
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) * scale);
}

std::string base64_of(const std::vector<float>& values) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  bytes.reserve(values.size() * 4);
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>((bits >> shift) & 255U));
  }
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(bytes.size() - i, 3);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = (group << 8U) | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) out.push_back(k <= count ? kDigits[(group >> (18 - 6 * k)) & 63U] : '=');
  }
  return out;
}

class EmbeddingStream final : public Stream {
 public:
  EmbeddingStream(std::shared_ptr<const Model> model, std::vector<std::vector<engine::TokenId>> inputs,
                  const engine::Request& request, EmbeddingOptions options, std::function<void()> notify)
      : model_(std::move(model)),
        inputs_(std::move(inputs)),
        request_(request),
        options_(std::move(options)),
        notify_(std::move(notify)),
        embeddings_(inputs_.size()) {
    for (const auto& input : inputs_) spent_.prompt_tokens += input.size();
    submit_more();
  }

  bool is_events() const noexcept override { return false; }
  void keep_alive(std::string& out) const override { out += "\n"; }
  const std::optional<ApiError>& error() const noexcept override { return error_; }
  const Spent& spent() const noexcept override { return spent_; }
  double estimated_wait() const noexcept override { return estimated_wait_; }

  State poll(std::string& out) override {
    if (error_) return State::broken;
    try {
      read_all();
      submit_more();
      if (next_ < inputs_.size() || !running_.empty()) return State::waiting;
      out += json::serialize(body());
      return State::done;
    } catch (const ApiError& error) {
      error_ = error;
    } catch (const std::exception& error) {  // out of memory, or a mistake of ours
      error_ = ApiError(Fault::internal, base::cat("internal error: ", error.what()));
    }
    return State::broken;
  }

 private:
  struct Running {
    std::size_t input;
    engine::Reply reply;
  };

  void submit_more() {
    while (next_ < inputs_.size() && running_.size() < kAtOnce) {
      engine::Request one = request_;
      one.tokens = inputs_[next_];
      try {
        running_.push_back({next_, model_->generator->submit(std::move(one), notify_)});
      } catch (const base::Error& error) {
        // Others have filled the queue meanwhile: when one of ours ends there is another try.
        if (error.code() == base::ErrorCode::overloaded && !running_.empty()) return;
        throw ApiError::from(error);
      }
      inputs_[next_] = {};
      ++next_;
    }
  }

  void read_all() {
    for (Running& running : running_) {
      for (;;) {
        std::optional<engine::Event> event = running.reply.poll();
        if (!event) break;
        take(running, *event);
      }
    }
    std::erase_if(running_, [](const Running& running) { return running.reply.finished(); });
  }

  void take(const Running& running, engine::Event& event) {
    if (const auto* queued = std::get_if<engine::Queued>(&event)) {
      estimated_wait_ = queued->estimated_wait;
    } else if (auto* pooled = std::get_if<engine::PooledHidden>(&event)) {
      normalise(pooled->values);
      embeddings_[running.input] = std::move(pooled->values);
    } else if (const auto* finished = std::get_if<engine::Finished>(&event)) {
      take_end(running, *finished);
    }
  }

  void take_end(const Running& running, const engine::Finished& finished) {
    if (finished.reason == engine::FinishReason::error) {
      throw finished.error ? ApiError::from(*finished.error) : ApiError(Fault::internal, "the model failed");
    }
    if (finished.reason == engine::FinishReason::cancelled) {
      throw ApiError(Fault::not_ready, "the server ended this request, because it is stopping");
    }
    if (embeddings_[running.input].empty()) throw ApiError(Fault::internal, "the model gave no embedding");
    estimated_wait_ = 0;
    spent_.cached_tokens += finished.usage.cached_tokens;
    spent_.queue_seconds = std::max(spent_.queue_seconds, finished.timings.queue_seconds);
    spent_.prefill_seconds += finished.timings.prefill_seconds;
  }

  json::value value_of(const std::vector<float>& values) const {
    if (options_.base64) return json_text(base64_of(values));
    json::array array;
    array.reserve(values.size());
    for (const float value : values) array.emplace_back(static_cast<double>(value));
    return array;
  }

  json::object body() const {
    json::array list;
    if (options_.dialect == Dialect::ollama) {
      for (const auto& values : embeddings_) list.emplace_back(value_of(values));
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
      return {{"model", json_bytes(options_.model)},
              {"embeddings", std::move(list)},
              {"total_duration", ollama_duration(options_.load_seconds + seconds)},
              {"load_duration", ollama_duration(options_.load_seconds)},
              {"prompt_eval_count", spent_.prompt_tokens}};
    }
    for (std::size_t i = 0; i < embeddings_.size(); ++i) {
      list.emplace_back(json::object{{"object", "embedding"}, {"index", i}, {"embedding", value_of(embeddings_[i])}});
    }
    return {{"object", "list"},
            {"data", std::move(list)},
            {"model", json_bytes(options_.model)},
            {"usage", json::object{{"prompt_tokens", spent_.prompt_tokens}, {"total_tokens", spent_.prompt_tokens}}}};
  }

  std::shared_ptr<const Model> model_;
  std::vector<std::vector<engine::TokenId>> inputs_;
  engine::Request request_;
  EmbeddingOptions options_;
  std::function<void()> notify_;
  std::vector<std::vector<float>> embeddings_;  // (inputs, hidden size)
  std::vector<Running> running_;
  std::size_t next_ = 0;  // the first input that was not submitted
  double estimated_wait_ = 0;
  Spent spent_;
  std::optional<ApiError> error_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

std::unique_ptr<Stream> make_embedding_stream(std::shared_ptr<const Model> model,
                                              std::vector<std::vector<engine::TokenId>> inputs,
                                              const engine::Request& request, EmbeddingOptions options,
                                              std::function<void()> notify) {
  return std::make_unique<EmbeddingStream>(std::move(model), std::move(inputs), request, std::move(options),
                                           std::move(notify));
}

}  // namespace minke::api
