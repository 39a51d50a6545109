#include "api/completion_request.h"

#include <limits>
#include <utility>

#include "api/api_error.h"
#include "api/field_table.h"
#include "base/cat.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

PromptText parse_prompt(const json::value& value, const std::string& place) {
  if (value.is_string()) return std::string(text::view(value.get_string()));
  if (!value.is_array()) throw_wrong_type(place, "a string or an array of token ids", value);
  return parse_tokens(value.get_array(), place);
}

std::vector<PromptText> parse_prompts(const Fields& request) {
  const json::value* value = request.find("prompt");
  if (value == nullptr) throw ApiError(Fault::malformed, "prompt: missing", "prompt");
  const std::string place = request.place("prompt");
  std::vector<PromptText> prompts;
  const bool several = value->is_array() && !value->get_array().empty() && !value->get_array().front().is_number();
  if (!several) {
    prompts.push_back(parse_prompt(*value, place));
    return prompts;
  }
  const json::array& array = value->get_array();
  if (array.size() > kMaxPrompts) {
    throw_invalid(place, base::cat("at most ", kMaxPrompts, " prompts, got ", array.size()));
  }
  for (const json::value& one : array) prompts.push_back(parse_prompt(one, base::cat(place, "[", prompts.size(), "]")));
  return prompts;
}

}  // namespace

std::vector<engine::TokenId> parse_tokens(const json::array& array, const std::string& place) {
  std::vector<engine::TokenId> tokens;
  tokens.reserve(array.size());
  for (const json::value& id : array) {
    if (!id.is_int64()) throw_wrong_type(base::cat(place, "[", tokens.size(), "]"), "a token id", id);
    if (id.get_int64() < 0 || id.get_int64() > std::numeric_limits<engine::TokenId>::max()) {
      throw_invalid(base::cat(place, "[", tokens.size(), "]"), base::cat("there is no token ", id.get_int64()));
    }
    tokens.push_back(static_cast<engine::TokenId>(id.get_int64()));
  }
  return tokens;
}

CompletionRequest parse_completion_request(const Fields& request) {
  refuse_fields(request, completion_rules());
  CompletionRequest out;
  out.common = parse_common(request);
  if (!out.common.max_tokens) out.common.max_tokens = kDefaultCompletionTokens;
  out.prompts = parse_prompts(request);
  out.suffix = request.text("suffix").value_or("");
  for (const PromptText& prompt : out.prompts) {
    if (!out.suffix.empty() && !std::holds_alternative<std::string>(prompt)) {
      throw_invalid(request.place("prompt"), "expected text, not token ids, beside a suffix");
    }
  }
  out.echo = request.flag("echo").value_or(false);
  if (const auto top = request.integer("logprobs", 0, static_cast<std::int64_t>(engine::kMaxTopLogprobs))) {
    out.logprobs = static_cast<std::size_t>(*top);
  }
  if (out.echo && out.logprobs) {
    throw_unsupported(request.place("echo"), "not together with logprobs: the prompt's own are not given yet");
  }
  const auto best_of = request.integer("best_of", 1, kMaxSamples);
  if (best_of && static_cast<std::size_t>(*best_of) != out.common.samples) {
    throw_unsupported(request.place("best_of"), "replies are not ranked; it can only equal n");
  }
  return out;
}

}  // namespace minke::api
