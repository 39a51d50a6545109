// A build without the library: everything is refused.
#include "base/error.h"
#include "constrain/grammar.h"

namespace minke::constrain {

namespace {

[[noreturn]] void refuse() {
  throw base::Error(base::ErrorCode::unsupported, "constrained output is not part of this build",
                    "Build with Rust's cargo installed (docs/install.md).");
}

}  // namespace

struct Vocabulary::Impl {};

std::string library_version() { return {}; }

// NOLINTNEXTLINE(performance-unnecessary-value-param): the other implementation keeps them.
Vocabulary::Vocabulary(Options /*options*/) { refuse(); }

Vocabulary::~Vocabulary() = default;

std::shared_ptr<const engine::TokenConstraint> Vocabulary::compile(const Grammar& /*grammar*/) const { refuse(); }

}  // namespace minke::constrain
