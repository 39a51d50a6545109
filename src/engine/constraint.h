// Constrained output: which tokens may come next, as a grammar has it. The engine knows no grammar, only this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace minke::engine {

/// One reply's way through a grammar. Used by one thread at a time; errors are base::Error and end the reply.
class TokenConstraint {
 public:
  TokenConstraint() = default;
  TokenConstraint(const TokenConstraint&) = delete;
  TokenConstraint& operator=(const TokenConstraint&) = delete;
  virtual ~TokenConstraint() = default;

  /// Another one at the same place. May be called from any thread while nobody uses this one otherwise.
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
  /// Sets bit i % 32 of word i / 32 for each token i that may come next, the tokens that end a reply among them where
  /// it may end; clears all other bits. At least one is set.
  virtual void mask(std::span<std::uint32_t> allowed) = 0;
  /// The reply goes on with a token that mask() allowed.
  virtual void accept(std::int32_t token) = 0;
};

}  // namespace minke::engine
