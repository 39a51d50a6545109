#include "text/breaker_tokens.h"

#include <algorithm>
#include <cstddef>

#include "base/cat.h"

namespace minke::text {

std::vector<TokenId> breaker_tokens(const Tokenizer& tokenizer, std::string_view text) {
  if (text.empty()) return {};
  const std::vector<TokenId> letter = tokenizer.encode("a");
  std::vector<TokenId> both = tokenizer.encode(base::cat("a", text));
  if (both.size() > letter.size() && std::equal(letter.begin(), letter.end(), both.begin())) {
    both.erase(both.begin(), both.begin() + static_cast<std::ptrdiff_t>(letter.size()));
  } else if (!both.empty()) {
    both.erase(both.begin(), both.end() - 1);
  }
  return both;
}

}  // namespace minke::text
