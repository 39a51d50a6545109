#include "api/constraint.h"

#include <algorithm>
#include <utility>

#include "api/api_error.h"
#include "api/call_grammar.h"
#include "base/cat.h"
#include "base/error.h"

namespace minke::api {
namespace {

using Kind = constrain::Grammar::Kind;

std::shared_ptr<const engine::TokenConstraint> compile(const Model& model, const constrain::Grammar& grammar,
                                                       const std::string& place, bool patient) {
  if (!model.grammars)
    throw_unsupported(place, "constrained output is not part of this build of the server: it needs Rust's cargo");
  if (auto constraint = model.grammars->find(grammar)) return constraint;
  if (!patient) throw TakesLong{};
  try {
    return model.grammars->compile(grammar);
  } catch (const base::Error& error) {
    const ApiError known = ApiError::from(error);
    throw ApiError(known.fault(), base::cat(place, ": ", known.message()), place);
  }
}

}  // namespace

constrain::Vocabulary::Options vocabulary_options(const text::Tokenizer& tokenizer, std::vector<engine::TokenId> ends) {
  const std::size_t vocab = tokenizer.vocab_size();
  std::erase_if(ends, [vocab](engine::TokenId id) { return static_cast<std::size_t>(id) >= vocab; });
  constrain::Vocabulary::Options options;
  options.tokens = std::make_shared<engine::TokenBytes>(vocab, [&tokenizer](engine::TokenId id) {
    return engine::TokenBytes::Entry{.bytes = tokenizer.piece(id), .control = tokenizer.is_control(id)};
  });
  options.ends = std::move(ends);
  options.encode = [&tokenizer](std::string_view text) { return tokenizer.encode(text, text::ControlText::ordinary); };
  return options;
}

std::unique_ptr<constrain::Compiler> make_compiler(const text::Tokenizer& tokenizer,
                                                   std::vector<engine::TokenId> ends) {
  if (constrain::library_version().empty()) return nullptr;
  return std::make_unique<constrain::Compiler>(
      [&tokenizer, ends = std::move(ends)] { return vocabulary_options(tokenizer, ends); });
}

std::shared_ptr<const engine::TokenConstraint> compile_rules(const Model& model, const ReplyRules& rules,
                                                             bool patient) {
  const std::optional<AnswerFormat>& format = rules.format;
  const ToolRequest* tools = rules.tools;
  if (rules.continues) {
    if (format)
      throw_invalid(format->place, "not beside a reply that was begun: a grammar holds from its beginning on");
    return nullptr;
  }
  const bool json = format && (format->grammar.kind == Kind::json_object || format->grammar.kind == Kind::json_schema);
  const bool may_call = tools != nullptr && !tools->tools->empty() && tools->choice != ToolChoice::none &&
                        model.encoding && model.encoding->tool_format() != text::ToolFormat::none;
  // Where there is no library the prompt begins the call.
  const bool forced = may_call && tools->forced() && model.grammars;
  if (forced && format && !json) throw_invalid(format->place, "not beside a tool_choice that requires a call");
  if (!may_call || (format && !json) || !(forced || tools->any_strict() || json))
    return format ? compile(model, format->grammar, format->place, patient) : nullptr;
  const CallGrammar asked{.encoding = model.encoding.get(),
                          .find_token = [&model](std::string_view spelling) { return model.tokenizer->find(spelling); },
                          .tools = tools,
                          .answer = json ? &format->grammar : nullptr};
  return compile(model, call_grammar(asked), json && !forced ? format->place : "tools", patient);
}

}  // namespace minke::api
