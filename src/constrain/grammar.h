// Constrained output: what a caller may ask for, made into constraints that the engine can use.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint.h"
#include "engine/token_bytes.h"

namespace minke::constrain {

/// What a reply's answer has to be.
struct Grammar {
  enum class Kind {
    json_object,  ///< any JSON object
    json_schema,  ///< text: a JSON Schema; what of it cannot be enforced is refused
    regex,        ///< text: a regular expression (of Rust's regex crate) for the whole answer
    choice,       ///< one of `choices`
    lark,         ///< text: a grammar in llguidance's form of Lark
  };
  Kind kind = Kind::json_object;
  std::string text;
  std::vector<std::string> choices;

  static constexpr std::size_t kMaxBytes = std::size_t{256} << 10;
  /// Of a grammar that somebody wrote, not one of ours: thousands of rules take the library seconds.
  static constexpr std::size_t kMaxLarkBytes = std::size_t{32} << 10;
  static constexpr std::size_t kMaxNesting = 100;  ///< of brackets in regular expressions and grammars
};
std::string_view to_string(Grammar::Kind kind);

/// The type and the text for the library: checked, whitespace of JSON bounded, choices as a regular expression.
/// Error(invalid_argument or format) says what is wrong.
struct LibraryGrammar {
  const char* type = "";
  std::string text;
};
LibraryGrammar library_grammar(const Grammar& grammar);

/// A grammar of JSON as an expression within one of Kind::lark. Errors: as library_grammar; unsupported for other
/// kinds.
std::string lark_expression(const Grammar& grammar);

/// Whether this build has the library, and its name and version; empty if not.
std::string library_version();

/// A model's tokens as constraints see them. Made once per model (about a second for 152k tokens), then used from any
/// thread. Constraints outlive it, but not what its functions refer to.
class Vocabulary {
 public:
  struct Options {
    std::shared_ptr<const engine::TokenBytes> tokens;
    std::vector<engine::TokenId> ends;  ///< tokens that may end a reply, at least one
    /// How the model's tokenizer writes a text; called from any thread. Text that a grammar leaves no choice about is
    /// written so.
    std::function<std::vector<engine::TokenId>(std::string_view)> encode;
  };
  /// Error(unsupported) in a build without the library.
  explicit Vocabulary(Options options);
  ~Vocabulary();
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  /// Errors: invalid_argument (a grammar that is none, or that is too large), unsupported (a part of a schema that the
  /// library cannot enforce): with the library's reason. Takes milliseconds; at most some seconds.
  std::shared_ptr<const engine::TokenConstraint> compile(const Grammar& grammar) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace minke::constrain
