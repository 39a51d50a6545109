#include "api/reply_format.h"

#include <array>
#include <cstdint>
#include <random>

#include "api/json_text.h"
#include "base/cat.h"

namespace minke::api {

namespace json = boost::json;

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

std::string_view finish_text(engine::FinishReason reason) {
  return reason == engine::FinishReason::stop ? "stop" : "length";
}

}  // namespace minke::api
