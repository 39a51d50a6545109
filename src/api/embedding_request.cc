#include "api/embedding_request.h"

#include "api/api_error.h"
#include "api/field_table.h"
#include "api/ollama_request.h"
#include "base/cat.h"
#include "text/json_access.h"

namespace minke::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostDimensions = std::int64_t{1} << 20;

PromptText parse_input(const json::value& value, const std::string& place) {
  if (value.is_array()) {
    if (value.get_array().empty()) throw_invalid(place, "expected at least one token");
    return parse_tokens(value.get_array(), place);
  }
  if (!value.is_string()) throw_wrong_type(place, "a string or an array of token ids", value);
  if (value.get_string().empty()) throw_invalid(place, "expected a text that is not empty");
  return std::string(text::view(value.get_string()));
}

/// A text, its tokens, or several of either.
std::vector<PromptText> parse_inputs(const Fields& request) {
  const json::value* value = request.find("input");
  if (value == nullptr) throw ApiError(Fault::malformed, "input: missing", "input");
  std::vector<PromptText> inputs;
  const bool several = value->is_array() && !value->get_array().empty() && !value->get_array().front().is_number();
  if (!several) {
    inputs.push_back(parse_input(*value, "input"));
    return inputs;
  }
  const json::array& array = value->get_array();
  if (array.size() > kMaxEmbeddingInputs) {
    throw_invalid("input", base::cat("at most ", kMaxEmbeddingInputs, " inputs, got ", array.size()));
  }
  for (const json::value& one : array) inputs.push_back(parse_input(one, base::cat("input[", inputs.size(), "]")));
  return inputs;
}

EmbeddingRequest parse(const Fields& request) {
  refuse_fields(request, embedding_rules());
  EmbeddingRequest out;
  const auto model = request.text("model");
  if (!model || model->empty()) throw ApiError(Fault::malformed, "model: missing", "model");
  out.model = *model;
  out.inputs = parse_inputs(request);
  if (const auto pooling = request.text("pooling")) {
    if (*pooling != "mean" && *pooling != "last") throw_invalid("pooling", "expected \"mean\" or \"last\"");
    if (*pooling == "last") out.pooling = engine::Pooling::last;
  }
  out.dimensions = static_cast<std::size_t>(request.integer("dimensions", 1, kMostDimensions).value_or(0));
  return out;
}

}  // namespace

EmbeddingRequest parse_embedding_request(const Fields& request) {
  EmbeddingRequest out = parse(request);
  const std::string_view format = request.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64") throw_invalid("encoding_format", "expected \"float\" or \"base64\"");
  out.base64 = format == "base64";
  out.user = request.text("user").value_or("");
  return out;
}

EmbeddingRequest parse_ollama_embed(const Fields& request) {
  EmbeddingRequest out = parse(request);
  out.truncate = request.flag("truncate").value_or(true);
  out.idle = parse_keep_alive(request);
  return out;
}

}  // namespace minke::api
