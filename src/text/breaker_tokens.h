// The tokens of a text that ends repetitions: DRY's breakers.
#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace minke::text {

/// DRY's breakers where nobody names others, as its first implementation has them.
inline constexpr std::string_view kDefaultBreakers[] = {"\n", ":", "\"", "*"};

/// The tokens of `text` as they stand behind a letter; of one that merges with it the last, as DRY's first
/// implementation takes it. Empty for a text without tokens.
std::vector<TokenId> breaker_tokens(const Tokenizer& tokenizer, std::string_view text);

}  // namespace minke::text
