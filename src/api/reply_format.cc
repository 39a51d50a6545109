#include "api/reply_format.h"

#include <array>
#include <cstdint>

#include "api/json_text.h"
#include "base/cat.h"
#include "base/error.h"
#include "formats/json.h"

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

json::object ReplyFormat::call_chunk(std::size_t choice, const CallDelta& call) {
  TextDelta text;  // a completion has no calls; what came of one would be text
  text.content = call.arguments;
  return chunk(choice, text);
}

std::vector<text::ToolCall> joined_calls(const std::vector<CallDelta>& pieces) {
  std::vector<text::ToolCall> calls;
  for (const CallDelta& piece : pieces) {
    if (piece.begins()) calls.push_back({piece.id, piece.name, {}});
    if (!calls.empty()) calls.back().arguments += piece.arguments;
  }
  return calls;
}

json::object arguments_json(const std::string& arguments) {
  try {
    return formats::parse_json_object(arguments, "arguments");
  } catch (const base::Error&) {  // the model wrote it badly
    return {{"arguments", json_bytes(arguments)}};
  }
}

std::string_view finish_text(engine::FinishReason reason) {
  return reason == engine::FinishReason::stop ? "stop" : "length";
}

}  // namespace minke::api
