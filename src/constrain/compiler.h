// Grammars of one model's requests: compiled one after the other, the latest kept.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "constrain/grammar.h"

namespace minke::constrain {

/// Used from any thread. Its constraints outlive it, but not what the vocabulary's functions refer to.
class Compiler {
 public:
  /// `options` is asked with the first grammar: reading a vocabulary takes up to a second, and most servers are never
  /// asked for one.
  explicit Compiler(std::function<Vocabulary::Options()> options) : options_(std::move(options)) {}

  /// What is there already, or null; at once.
  std::shared_ptr<const engine::TokenConstraint> find(const Grammar& grammar);
  /// As Vocabulary::compile; waits for others' compilations, of which each may take seconds.
  std::shared_ptr<const engine::TokenConstraint> compile(const Grammar& grammar);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const engine::TokenConstraint> constraint;
  };
  /// Clients that constrain at all do it with a handful of schemas. Some megabytes each at most.
  static constexpr std::size_t kKept = 32;

  std::function<Vocabulary::Options()> options_;
  std::mutex compiling_;
  std::unique_ptr<Vocabulary> vocabulary_;  // guarded by compiling_
  std::mutex mutex_;
  std::list<Entry> kept_;  // the latest used first; guarded by mutex_
};

}  // namespace minke::constrain
