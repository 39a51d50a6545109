// What a reply has to be, compiled for the model's vocabulary.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "api/answer.h"
#include "api/answer_format.h"
#include "api/model.h"
#include "api/tool_request.h"
#include "constrain/compiler.h"
#include "engine/constraint.h"

namespace minke::api {

/// A model's vocabulary as grammars see it. `tokenizer` must outlive what is made of it.
constrain::Vocabulary::Options vocabulary_options(const text::Tokenizer& tokenizer, std::vector<engine::TokenId> ends);
/// Null in builds without the library.
std::unique_ptr<constrain::Compiler> make_compiler(const text::Tokenizer& tokenizer, std::vector<engine::TokenId> ends);

struct ReplyRules {
  const std::optional<AnswerFormat>& format;
  const ToolRequest* tools = nullptr;  ///< what is offered; null: nothing
  bool continues = false;              ///< the prompt has the reply's beginning already
};

/// Null where the reply may be anything, or is made to be a call by the prompt instead. Throws ApiError, and TakesLong
/// unless `patient`.
std::shared_ptr<const engine::TokenConstraint> compile_rules(const Model& model, const ReplyRules& rules, bool patient);

}  // namespace minke::api
