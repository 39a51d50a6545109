// A constraint of a few lines, for tests that want no grammar library.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/signal.h"
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

/// Opened once; until then whoever passes waits (a minute at most).
class Gate {
 public:
  void open() noexcept { opened_.raise(); }
  void pass() noexcept {
    ++waiting_;
    (void)opened_.wait(0, std::chrono::minutes(1));
  }
  int waiting() const noexcept { return waiting_.load(); }

 private:
  base::Signal opened_;
  std::atomic<int> waiting_{0};
};

/// Rising, but for masks number `first` and after, which come when the gate is open.
class Slow final : public engine::TokenConstraint {
 public:
  Slow(std::unique_ptr<engine::TokenConstraint> rule, std::size_t first, std::shared_ptr<Gate> gate)
      : rule_(std::move(rule)), first_(first), gate_(std::move(gate)) {}
  std::unique_ptr<engine::TokenConstraint> clone() const override {
    auto other = std::make_unique<Slow>(rule_->clone(), first_, gate_);
    other->masks_ = masks_;
    return other;
  }
  void mask(std::span<std::uint32_t> allowed) override {
    if (masks_++ >= first_) gate_->pass();
    rule_->mask(allowed);
  }
  void accept(std::int32_t token) override { rule_->accept(token); }

 private:
  std::unique_ptr<engine::TokenConstraint> rule_;
  std::size_t first_, masks_ = 0;
  std::shared_ptr<Gate> gate_;
};

/// `rule`, but every `each`th mask takes `nap` longer. The time is slept, not computed.
class Napping final : public engine::TokenConstraint {
 public:
  Napping(std::shared_ptr<const engine::TokenConstraint> rule, std::size_t each, std::chrono::microseconds nap)
      : beginning_(std::move(rule)), each_(each), nap_(nap) {}
  std::unique_ptr<engine::TokenConstraint> clone() const override {
    auto other = std::make_unique<Napping>(beginning_, each_, nap_);
    other->rule_ = rule_ ? rule_->clone() : beginning_->clone();
    other->masks_ = masks_;
    return other;
  }
  void mask(std::span<std::uint32_t> allowed) override {
    if (++masks_ % each_ == 0) std::this_thread::sleep_for(nap_);
    rule_->mask(allowed);
  }
  void accept(std::int32_t token) override { rule_->accept(token); }

 private:
  std::shared_ptr<const engine::TokenConstraint> beginning_;
  std::unique_ptr<engine::TokenConstraint> rule_;  // of a clone
  std::size_t each_, masks_ = 0;
  std::chrono::microseconds nap_;
};

inline bool rises(const std::vector<std::int32_t>& tokens, std::size_t most) {
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (static_cast<std::size_t>(tokens[i]) % 16 != i % 16) return false;
  return tokens.size() <= most;
}

}  // namespace minke::test
