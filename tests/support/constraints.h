// A constraint of a few lines, for tests that want no grammar library.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/constraint.h"

namespace minke::test {

/// Each token's id modulo 16 is one more than the last one's, from 0: `count` of them, then the end.
class Rising final : public engine::TokenConstraint {
 public:
  Rising(std::size_t count, std::int32_t end, std::size_t fails_after = ~std::size_t{0})
      : count_(count), end_(end), fails_after_(fails_after) {}
  std::unique_ptr<engine::TokenConstraint> clone() const override {
    auto other = std::make_unique<Rising>(count_, end_, fails_after_);
    other->taken_ = taken_;
    return other;
  }
  void mask(std::span<std::uint32_t> allowed) override {
    if (taken_ >= fails_after_) throw base::Error(base::ErrorCode::overloaded, "too much");
    std::fill(allowed.begin(), allowed.end(), 0);
    if (taken_ == count_) {
      allowed[static_cast<std::size_t>(end_) / 32] |= 1u << (end_ % 32);
      return;
    }
    for (std::uint32_t& word : allowed) word = 0x10001u << (taken_ % 16);
    // Ends are not drawn before their time.
    allowed[static_cast<std::size_t>(end_) / 32] &= ~(1u << (end_ % 32));
  }
  void accept(std::int32_t token) override {
    if (static_cast<std::size_t>(token) % 16 != taken_ % 16) throw base::Error(base::ErrorCode::format, "not rising");
    ++taken_;
  }

 private:
  std::size_t count_;
  std::int32_t end_;
  std::size_t fails_after_;
  std::size_t taken_ = 0;
};

inline bool rises(const std::vector<std::int32_t>& tokens, std::size_t most) {
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (static_cast<std::size_t>(tokens[i]) % 16 != i % 16) return false;
  return tokens.size() <= most;
}

}  // namespace minke::test
