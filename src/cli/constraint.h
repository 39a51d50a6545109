// Constrained replies in the terminal's commands: flags to grammars, tokenizers to vocabularies.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cli/options.h"
#include "constrain/grammar.h"
#include "text/tokenizer.h"

namespace minke::cli {

/// What the flags ask for, files read; none if nothing. Errors: of files; unsupported in a build without the library.
std::optional<constrain::Grammar> read_grammar(const ConstraintFlags& flags);

/// `tokenizer` must outlive it and what it compiles. `ends`: tokens that may end a reply.
std::unique_ptr<constrain::Vocabulary> open_vocabulary(const text::Tokenizer& tokenizer,
                                                       std::vector<text::TokenId> ends);

}  // namespace minke::cli
