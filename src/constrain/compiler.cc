#include "constrain/compiler.h"

#include <algorithm>
#include <utility>

#include "base/cat.h"

namespace minke::constrain {
namespace {

/// Lengths part what may hold anything.
std::string key_of(const Grammar& grammar) {
  std::string key = base::cat(static_cast<int>(grammar.kind), ":", grammar.text.size(), ":", grammar.text);
  for (const std::string& choice : grammar.choices) key += base::cat(choice.size(), ":", choice);
  return key;
}

}  // namespace

std::shared_ptr<const engine::TokenConstraint> Compiler::find(const Grammar& grammar) {
  const std::string key = key_of(grammar);
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(kept_, key, &Entry::key);
  if (at == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, at);
  return at->constraint;
}

std::shared_ptr<const engine::TokenConstraint> Compiler::compile(const Grammar& grammar) {
  const std::lock_guard compiling(compiling_);
  if (auto constraint = find(grammar)) return constraint;
  if (!vocabulary_) vocabulary_ = std::make_unique<Vocabulary>(options_());
  auto constraint = vocabulary_->compile(grammar);
  const std::lock_guard lock(mutex_);
  kept_.push_front({key_of(grammar), constraint});
  if (kept_.size() > kKept) kept_.pop_back();
  return constraint;
}

}  // namespace minke::constrain
