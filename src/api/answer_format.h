// What an answer has to be, in every protocol's words.
#pragma once

#include <optional>
#include <string>

#include "api/fields.h"
#include "constrain/grammar.h"

namespace minke::api {

struct AnswerFormat {
  constrain::Grammar grammar;
  std::string place;  ///< the field that asks for it: for errors
};

/// OpenAI's "response_format", vLLM's "guided_json", "guided_regex", "guided_choice", "guided_grammar" and
/// "structured_outputs", llama.cpp's "json_schema" and "grammar": at most one of them. Throws ApiError.
std::optional<AnswerFormat> parse_answer_format(const Fields& request);
/// "text.format" of /v1/responses. Throws ApiError.
std::optional<AnswerFormat> parse_text_format(const Fields& request);
/// Anthropic's "output_format" and "output_config.format". Throws ApiError.
std::optional<AnswerFormat> parse_output_format(const Fields& request);
/// Ollama's "format": "json" or a schema. Throws ApiError.
std::optional<AnswerFormat> parse_ollama_format(const Fields& request);

}  // namespace minke::api
