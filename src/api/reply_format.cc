#include "api/reply_format.h"

#include <array>
#include <cstdint>
#include <random>

#include "api/json_text.h"
#include "base/cat.h"

namespace minke::api {

namespace json = boost::json;

namespace {

// DeepSeek's figure for "not among what is told".
constexpr float kLeastLogprob = -9999.0F;

double logprob_of(float value) { return static_cast<double>(value > kLeastLogprob ? value : kLeastLogprob); }

json::object token_json(const text::Tokenizer& tokenizer, engine::TokenId token, float logprob) {
  const std::string_view piece = tokenizer.piece(token);
  json::array bytes;
  bytes.reserve(piece.size());
  for (const char c : piece) bytes.emplace_back(static_cast<std::int64_t>(static_cast<unsigned char>(c)));
  return {{"token", json_bytes(piece)}, {"logprob", logprob_of(logprob)}, {"bytes", std::move(bytes)}};
}

}  // namespace

std::string random_id(std::string_view prefix) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device device;
  std::string id(prefix);
  for (int word = 0; word < 3; ++word) {
    std::uint32_t bits = device();
    for (int digit = 0; digit < 8; ++digit, bits >>= 4U) id.push_back(kDigits[bits & 15U]);
  }
  return id;
}

json::object usage_json(const Spent& spent) {
  json::object usage;
  usage["prompt_tokens"] = spent.prompt_tokens;
  usage["completion_tokens"] = spent.output_tokens;
  usage["total_tokens"] = spent.prompt_tokens + spent.output_tokens;
  usage["prompt_tokens_details"] = json::object{{"cached_tokens", spent.cached_tokens}};
  usage["completion_tokens_details"] = json::object{{"reasoning_tokens", spent.reasoning_tokens}};
  usage["prompt_cache_hit_tokens"] = spent.cached_tokens;
  usage["prompt_cache_miss_tokens"] = spent.prompt_tokens - spent.cached_tokens;
  return usage;
}

json::object timings_json(const Spent& spent) {
  json::object timings;
  const auto phase = [&timings](const std::string& name, std::size_t tokens, double seconds) {
    const auto count = static_cast<double>(tokens);
    timings[name + "_n"] = tokens;
    timings[name + "_ms"] = seconds * 1000;
    timings[name + "_per_token_ms"] = tokens > 0 ? seconds * 1000 / count : 0;
    timings[name + "_per_second"] = seconds > 0 ? count / seconds : 0;
  };
  timings["cache_n"] = spent.cached_tokens;
  phase("prompt", spent.prompt_tokens - spent.cached_tokens, spent.prefill_seconds);
  phase("predicted", spent.output_tokens, spent.decode_seconds);
  return timings;
}

json::array logprobs_json(const text::Tokenizer& tokenizer, const std::vector<engine::TokenDrawn>& tokens) {
  json::array entries;
  for (const engine::TokenDrawn& drawn : tokens) {
    json::object entry = token_json(tokenizer, drawn.token, drawn.logprob.value_or(kLeastLogprob));
    json::array top;
    for (const engine::TokenLogprob& one : drawn.top) top.emplace_back(token_json(tokenizer, one.token, one.logprob));
    entry["top_logprobs"] = std::move(top);
    entries.emplace_back(std::move(entry));
  }
  return entries;
}

std::string_view finish_text(engine::FinishReason reason) {
  return reason == engine::FinishReason::stop ? "stop" : "length";
}

}  // namespace minke::api
