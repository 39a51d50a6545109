#include "api/request_fields.h"

#include <charconv>
#include <limits>
#include <random>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMaxTokens = std::int64_t{1} << 32;
// OpenAI allows 0, of which no token's probability falls short: the most likely one alone.
constexpr double kLeastTopP = 1e-9;

std::vector<engine::TokenId> parse_stop_tokens(const Fields& request) {
  std::vector<engine::TokenId> ids;
  const json::array* array = request.array("stop_token_ids");
  if (array == nullptr) return ids;
  const std::string place = request.place("stop_token_ids");
  if (array->size() > kMaxStopTokens) {
    throw_invalid(place, base::cat("at most ", kMaxStopTokens, " ids, got ", array->size()));
  }
  for (const json::value& id : *array) {
    const std::string where = base::cat(place, "[", ids.size(), "]");
    if (!id.is_int64()) throw_wrong_type(where, "a token id", id);
    if (id.get_int64() < 0 || id.get_int64() > std::numeric_limits<engine::TokenId>::max()) {
      throw_invalid(where, base::cat("there is no token ", id.get_int64()));
    }
    ids.push_back(static_cast<engine::TokenId>(id.get_int64()));
  }
  return ids;
}

/// {"1234": -100}: ids are keys, as OpenAI has it.
std::vector<engine::LogitBias> parse_biases(const Fields& request) {
  std::vector<engine::LogitBias> biases;
  const json::value* value = request.find("logit_bias");
  if (value == nullptr) return biases;
  const std::string place = request.place("logit_bias");
  if (!value->is_object()) throw_wrong_type(place, "an object", *value);
  const json::object& object = value->get_object();
  if (object.size() > engine::kMaxBiases) {
    throw_invalid(place, base::cat("at most ", engine::kMaxBiases, " biases, got ", object.size()));
  }
  const Fields fields(object, place);
  for (const auto& member : object) {
    const std::string_view key = text::view(member.key());
    engine::TokenId id = 0;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || id < 0) {
      throw_invalid(place, base::cat("expected token ids as keys, got ", base::quote_name(key)));
    }
    if (const auto bias = fields.number(key, -100, 100)) biases.push_back({.token = id, .bias = *bias});
  }
  return biases;
}

/// With llama.cpp's names.
void parse_dry(const Fields& request, CommonRequest& out) {
  engine::DryParams& dry = out.dry;
  dry.multiplier = request.number("dry_multiplier", 0, 100).value_or(dry.multiplier);
  dry.base = request.number("dry_base", 1, 10).value_or(dry.base);
  dry.allowed_length = request.integer("dry_allowed_length", 1, 1000).value_or(dry.allowed_length);
  const std::int64_t last = request.integer("dry_penalty_last_n", -1, 1'000'000'000).value_or(-1);
  if (last == 0) dry.multiplier = 0;
  dry.range = last < 0 ? 0 : last;
  const json::array* breakers = request.array("dry_sequence_breakers");
  if (breakers == nullptr) return;
  const std::string place = request.place("dry_sequence_breakers");
  if (breakers->size() > engine::DryParams::kMaxBreakers) {
    throw_invalid(place, base::cat("at most ", engine::DryParams::kMaxBreakers, " texts, got ", breakers->size()));
  }
  out.dry_breakers.clear();
  for (const json::value& breaker : *breakers) {
    const std::string where = base::cat(place, "[", out.dry_breakers.size(), "]");
    const std::string_view text = text_of(breaker, where);
    if (text.empty() || text.size() > kMaxBreakerBytes) {
      throw_invalid(where, base::cat("expected 1 to ", kMaxBreakerBytes, " bytes, got ", text.size()));
    }
    out.dry_breakers.emplace_back(text);
  }
}

void parse_stream(const Fields& request, CommonRequest& out) {
  out.stream = request.flag("stream").value_or(false);
  out.progress = request.flag("return_progress").value_or(false);
  const auto options = request.object("stream_options");
  if (!options) return;
  out.include_usage = options->flag("include_usage").value_or(false);
  if (!out.stream && out.include_usage) throw_invalid(request.place("stream_options"), "only for \"stream\": true");
}

std::optional<std::size_t> parse_max_tokens(const Fields& request) {
  const auto newer = request.integer("max_completion_tokens", 1, kMaxTokens);
  const auto older = request.integer("max_tokens", 1, kMaxTokens);
  if (!newer && !older) return std::nullopt;
  return static_cast<std::size_t>(newer ? *newer : *older);
}

std::uint64_t drawn_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace

Effort parse_effort(std::string_view effort, const std::string& place) {
  struct Level {
    std::string_view name;
    std::optional<std::size_t> tokens;
  };
  constexpr std::size_t kNoEnd = std::numeric_limits<std::size_t>::max();
  // "high" is DeepSeek's default, so it is the engine's.
  constexpr Level kLevels[] = {{"minimal", 512},  {"low", 1024},   {"medium", 4096}, {"high", std::nullopt},
                               {"xhigh", kNoEnd}, {"max", kNoEnd}, {"ultra", kNoEnd}};
  if (effort == "none") return {.thinking = text::Thinking::off, .tokens = {}};
  for (const Level& level : kLevels) {
    if (effort == level.name) return {.thinking = text::Thinking::on, .tokens = level.tokens};
  }
  throw_invalid(place, "expected none, minimal, low, medium, high, xhigh, max or ultra");
}

std::optional<std::size_t> parse_thinking_tokens(const Fields& fields, std::string_view key) {
  const auto tokens = fields.integer(key, -1, kMaxTokens);
  if (!tokens) return std::nullopt;
  return *tokens < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(*tokens);
}

std::vector<std::string> parse_stops(const Fields& request, std::string_view key) {
  std::vector<std::string> stops;
  const json::value* value = request.find(key);
  if (value == nullptr) return stops;
  const std::string place = request.place(key);
  const auto add = [&](const json::value& stop, const std::string& where) {
    const std::string_view text = text_of(stop, where);
    if (text.empty()) throw_invalid(where, "a stop sequence cannot be empty");
    if (text.size() > kMaxStopBytes) {
      throw_invalid(where, base::cat("a stop sequence has at most ", kMaxStopBytes, " bytes, got ", text.size()));
    }
    stops.emplace_back(text);
  };
  if (!value->is_array()) {
    if (!value->is_string()) throw_wrong_type(place, "a string or an array of strings", *value);
    // Some clients send "" for none.
    if (!value->get_string().empty()) add(*value, place);
    return stops;
  }
  const json::array& array = value->get_array();
  if (array.size() > kMaxStops) {
    throw_invalid(place, base::cat("at most ", kMaxStops, " stop sequences, got ", array.size()));
  }
  for (const json::value& stop : array) add(stop, base::cat(place, "[", stops.size(), "]"));
  return stops;
}

void parse_sampling(const Fields& request, CommonRequest& out) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  out.temperature = request.number("temperature", 0, 2);
  out.top_p = request.number("top_p", 0, 1);
  out.min_p = request.number("min_p", 0, 1);
  out.top_k = request.integer("top_k", -1, kMost);
  if (out.top_k == -1) out.top_k = 0;
  out.repeat_penalty = request.number("repetition_penalty", 0, 10);
  if (!out.repeat_penalty) out.repeat_penalty = request.number("repeat_penalty", 0, 10);
  out.presence_penalty = request.number("presence_penalty", -2, 2);
  out.frequency_penalty = request.number("frequency_penalty", -2, 2);
  out.logit_bias = parse_biases(request);
  parse_dry(request, out);
  out.min_tokens = static_cast<std::size_t>(request.integer("min_tokens", 0, kMaxTokens).value_or(0));
  if (const auto seed = request.integer("seed", std::numeric_limits<std::int64_t>::min(), kMost)) {
    out.seed = static_cast<std::uint64_t>(*seed);
  }
}

CommonRequest parse_common(const Fields& request) {
  CommonRequest out;
  const auto model = request.text("model");
  if (!model || model->empty()) {
    throw ApiError(Fault::malformed, "model: missing; GET /v1/models lists the names", "model");
  }
  out.model = *model;
  parse_stream(request, out);
  out.max_tokens = parse_max_tokens(request);
  parse_sampling(request, out);
  out.stops = parse_stops(request);
  out.stop_tokens = parse_stop_tokens(request);
  out.ignore_eos = request.flag("ignore_eos").value_or(false);
  out.samples = static_cast<std::size_t>(request.integer("n", 1, kMaxSamples).value_or(1));
  out.format = parse_answer_format(request);
  out.user = request.text("user_id").value_or(request.text("user").value_or(""));
  return out;
}

engine::SamplingParams CommonRequest::sampling(const engine::SamplingParams& defaults) const {
  engine::SamplingParams params = defaults;
  params.temperature = temperature.value_or(params.temperature);
  params.top_p = top_p.value_or(params.top_p);
  if (params.top_p < kLeastTopP) params.top_p = kLeastTopP;
  params.min_p = min_p.value_or(params.min_p);
  params.top_k = top_k.value_or(params.top_k);
  params.repeat_penalty = repeat_penalty.value_or(params.repeat_penalty);
  params.presence_penalty = presence_penalty.value_or(0);
  params.frequency_penalty = frequency_penalty.value_or(0);
  params.logit_bias = logit_bias;
  params.dry = dry;
  params.seed = seed ? *seed : drawn_seed();
  try {
    params.validate();
  } catch (const base::Error& error) {
    throw ApiError::from(error);
  }
  return params;
}

}  // namespace minke::api
