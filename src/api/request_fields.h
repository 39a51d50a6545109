// What requests for chats and for completions have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer_format.h"
#include "api/fields.h"
#include "engine/dry.h"
#include "engine/request.h"
#include "engine/sampling.h"
#include "text/breaker_tokens.h"
#include "text/chat.h"

namespace minke::api {

/// More than any client needs; each bounds what one request can take.
inline constexpr std::int64_t kMaxSamples = 16;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 256;
inline constexpr std::size_t kMaxStopTokens = 64;
/// At most as many tokens: engine::DryParams allows so many.
inline constexpr std::size_t kMaxBreakerBytes = engine::DryParams::kMaxBreakerTokens;

struct CommonRequest {
  std::string model;
  bool stream = false;
  bool include_usage = false;
  bool progress = false;  ///< chunks that tell of the queue and of the prompt, as llama.cpp's
  std::optional<std::size_t> max_tokens;
  std::optional<double> temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  std::vector<engine::LogitBias> logit_bias;
  engine::DryParams dry;  ///< without breakers: their tokens are the model's
  std::vector<std::string> dry_breakers{std::begin(text::kDefaultBreakers), std::end(text::kDefaultBreakers)};
  std::size_t min_tokens = 0;
  std::optional<std::int64_t> top_k;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stops;
  std::vector<engine::TokenId> stop_tokens;
  bool ignore_eos = false;
  std::size_t samples = 1;
  std::string user;
  std::optional<std::size_t> thinking_tokens;  ///< most tokens of thinking; unset: the engine's own share of the reply
  std::optional<AnswerFormat> format;          ///< what the answer has to be

  /// The model's defaults with what was asked for. Without a seed it is drawn anew. Throws ApiError.
  engine::SamplingParams sampling(const engine::SamplingParams& defaults) const;
};

/// How much is to be thought, by OpenAI's and DeepSeek's words for it.
struct Effort {
  text::Thinking thinking = text::Thinking::automatic;
  std::optional<std::size_t> tokens;  ///< most; unset: the engine's own share of the reply
};

/// "reasoning_effort" or its like. Throws ApiError.
Effort parse_effort(std::string_view effort, const std::string& place);
/// A number of tokens at `key`, 0 or more; -1: as many as there is room for. Throws ApiError.
std::optional<std::size_t> parse_thinking_tokens(const Fields& fields, std::string_view key);

/// Throws ApiError.
CommonRequest parse_common(const Fields& request);

/// Parts of it, for requests that have the same fields elsewhere. Throw ApiError.
void parse_sampling(const Fields& fields, CommonRequest& out);
/// A string or an array of them at `key`.
std::vector<std::string> parse_stops(const Fields& fields, std::string_view key = "stop");

}  // namespace minke::api
