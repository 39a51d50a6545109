// Real grammars over a vocabulary for models that have none.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "constrain/grammar.h"
#include "engine/token_mask.h"

namespace minke::test {

/// Ends replies in json_words().
inline constexpr engine::TokenId kWordEnd = 2;

/// Token 2 ends replies; then come printable characters and newline, pieces of JSON, and words of eight letters as in
/// letters().
inline std::shared_ptr<const engine::TokenBytes> json_words(std::size_t vocab) {
  return std::make_shared<engine::TokenBytes>(vocab, [word = std::string()](engine::TokenId id) mutable {
    static constexpr std::array kPieces = {"{\"", "\":", "\",\"", "\": \"", "true", "null",
                                           "12",  "},",  "[",     "],",     "\\n",  "  "};
    constexpr engine::TokenId kFirst = 3, kCharacters = 95;
    const engine::TokenId character = id - kFirst, piece = character - kCharacters - 1;
    if (id == kWordEnd) return engine::TokenBytes::Entry{.bytes = "<end>", .control = true};
    word.clear();
    if (character >= 0 && character < kCharacters) {
      word.push_back(static_cast<char>(' ' + character));
    } else if (character == kCharacters) {
      word = "\n";
    } else if (piece >= 0 && static_cast<std::size_t>(piece) < kPieces.size()) {
      word = kPieces[static_cast<std::size_t>(piece)];
    } else {
      for (int i = 0, rest = id; i <= id % 4; ++i, rest /= 8) word.push_back(static_cast<char>('a' + rest % 8));
    }
    return engine::TokenBytes::Entry{.bytes = word, .control = false};
  });
}

/// A schema, any object, a choice of tools, an expression and a grammar; none in a build without the library.
inline std::vector<std::shared_ptr<const engine::TokenConstraint>> some_grammars(
    const std::shared_ptr<const engine::TokenBytes>& words) {
  using Kind = constrain::Grammar::Kind;
  if (constrain::library_version().empty()) return {};
  const auto encode = [](std::string_view text) {
    std::vector<engine::TokenId> ids;
    for (const char c : text)
      if (c >= ' ' && c <= '~') ids.push_back(3 + (c - ' '));
    return ids;
  };
  const constrain::Vocabulary vocabulary({.tokens = words, .ends = {kWordEnd}, .encode = encode});
  const constrain::Grammar grammars[] = {
      {Kind::json_schema,
       R"({"type":"object","properties":{"name":{"type":"string","maxLength":5},"age":{"type":"integer","minimum":0,)"
       R"("maximum":150},"kind":{"enum":["x","y"]},"tags":{"type":"array","items":{"type":"boolean"},"maxItems":3}},)"
       R"("required":["name","age"],"additionalProperties":false})",
       {}},
      {Kind::json_object, {}, {}},
      {Kind::choice, {}, {"get_weather", "get_time", "search(web)", "none"}},
      {Kind::regex, "[a-c]{2,5}-\\d{1,4}", {}},
      {Kind::lark, "start: N (\"+\" N)*\nN: /[0-9]{1,3}/\n", {}},
  };
  std::vector<std::shared_ptr<const engine::TokenConstraint>> compiled;
  compiled.reserve(std::size(grammars));
  for (const constrain::Grammar& grammar : grammars) compiled.push_back(vocabulary.compile(grammar));
  return compiled;
}

/// Whether the grammar allows these tokens, one after the other.
inline bool obeys(const engine::TokenConstraint& grammar, std::span<const engine::TokenId> tokens, std::size_t vocab) {
  const auto state = grammar.clone();
  std::vector<std::uint32_t> mask((vocab + 31) / 32);
  for (const engine::TokenId token : tokens) {
    state->mask(mask);
    if (!engine::allows(mask, token)) return false;
    state->accept(token);
  }
  return true;
}

}  // namespace minke::test
