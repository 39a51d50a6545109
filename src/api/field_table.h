// Which fields of the documented requests are honoured, ignored or refused: docs/api.md shows these tables (a test
// holds them equal), and what they say is refused is refused by them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/fields.h"

namespace minke::api {

enum class Treatment {
  honoured,
  ignored,  ///< accepted without effect, as it asks for nothing that a reply could lack
  refused,  ///< 400 when it is given and asks for something (not null, false, 0 or empty)
};
std::string_view to_string(Treatment treatment);

struct FieldRule {
  std::string_view name;
  Treatment treatment;
  std::string_view note;  ///< of a refused one: the reason
};

std::span<const FieldRule> chat_rules();
std::span<const FieldRule> completion_rules();
std::span<const FieldRule> messages_rules();
std::span<const FieldRule> ollama_rules();
/// Of /v1/embeddings and Ollama's /api/embed.
std::span<const FieldRule> embedding_rules();
std::span<const FieldRule> responses_rules();

/// Throws ApiError(unsupported) for the first refused field that asks for something.
void refuse_fields(const Fields& request, std::span<const FieldRule> rules);

/// The rows of a Markdown table.
std::string markdown_of(std::span<const FieldRule> rules);

}  // namespace minke::api
