#include "cli/constraint.h"

#include <utility>

#include "api/constraint.h"
#include "base/error.h"
#include "cli/text_file.h"

namespace minke::cli {

std::optional<constrain::Grammar> read_grammar(const ConstraintFlags& flags) {
  using Kind = constrain::Grammar::Kind;
  std::optional<constrain::Grammar> grammar;
  if (flags.json_object) grammar = {Kind::json_object, {}, {}};
  if (!flags.json_schema.empty()) grammar = {Kind::json_schema, read_text_file(flags.json_schema), {}};
  if (!flags.regex.empty()) grammar = {Kind::regex, flags.regex, {}};
  if (!flags.choices.empty()) grammar = {Kind::choice, {}, flags.choices};
  if (!flags.grammar.empty()) grammar = {Kind::lark, read_text_file(flags.grammar), {}};
  if (grammar && constrain::library_version().empty())
    throw base::Error(
        base::ErrorCode::unsupported,
        base::cat("a ", constrain::to_string(grammar->kind), ": constrained output is not part of this build"),
        "Build with Rust's cargo installed (docs/install.md).");
  return grammar;
}

std::unique_ptr<constrain::Vocabulary> open_vocabulary(const text::Tokenizer& tokenizer,
                                                       std::vector<text::TokenId> ends) {
  return std::make_unique<constrain::Vocabulary>(api::vocabulary_options(tokenizer, std::move(ends)));
}

}  // namespace minke::cli
