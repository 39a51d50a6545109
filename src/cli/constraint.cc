#include "cli/constraint.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "cli/model_source.h"
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
  const std::size_t vocab = tokenizer.vocab_size();
  ends.erase(std::remove_if(ends.begin(), ends.end(),
                            [vocab](text::TokenId id) { return static_cast<std::size_t>(id) >= vocab; }),
             ends.end());
  constrain::Vocabulary::Options options;
  options.tokens = token_bytes(tokenizer);
  options.ends = std::move(ends);
  options.encode = [&tokenizer](std::string_view text) { return tokenizer.encode(text, text::ControlText::ordinary); };
  return std::make_unique<constrain::Vocabulary>(std::move(options));
}

}  // namespace minke::cli
