// Text <-> token ids, exactly as Hugging Face `tokenizers` does it for byte-level BPE vocabularies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace minke::text {

using TokenId = std::int32_t;

/// A pre-tokenizer: how text is cut before BPE. Each is a hand-written scanner over generated Unicode
/// tables; a file's regex (or GGUF's tokenizer.ggml.pre) is recognised by its text, never compiled.
enum class PreTokenizer {
  deepseek_llm,
  deepseek_coder,
  deepseek_v3,
  deepseek_r1_qwen,
  qwen2,
  glm4,
  llama3,
  gpt2,
  smollm
};
std::string_view to_string(PreTokenizer kind);

/// What control tokens in the text mean.
enum class ControlText {
  ordinary,  ///< control tokens' spellings are plain text (everything that users write)
  parse,     ///< they become the tokens: equals Hugging Face encode(add_special_tokens=False)
};

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;  ///< as the file marks it
  bool control = false;  ///< special, or named by a chat encoding (mark_control)
  bool lstrip = false, rstrip = false, normalized = false, single_word = false;
};

class Tokenizer {
 public:
  /// From a checkpoint: tokenizer.json beside safetensors, or GGUF metadata. Error(unsupported) names the
  /// pre-tokenizer or model kind that is missing; Error(not_found) when the checkpoint has no tokenizer.
  static std::unique_ptr<Tokenizer> open(const formats::Checkpoint& checkpoint);
  /// From a tokenizer.json's text.
  static std::unique_ptr<Tokenizer> from_json(std::string_view json, std::string_view source);
  static std::unique_ptr<Tokenizer> from_gguf(const formats::GgufMetadata& metadata);

  ~Tokenizer();

  /// Appends the ids of `text` (any bytes; ill-formed UTF-8 is read as U+FFFD, as Python's lossy
  /// decoding gives it). Never adds BOS or EOS. Linear in text.size().
  void encode(std::string_view text, ControlText control, std::vector<TokenId>& out) const;
  std::vector<TokenId> encode(std::string_view text, ControlText control = ControlText::ordinary) const;

  /// The bytes of one token (may be part of a character). Empty for ids that stand for nothing. An added token
  /// that the BPE vocabulary lacks stands for its spelling, also where Hugging Face takes that for byte-level
  /// text: DeepSeek-Coder's "ü" is the letter, not byte 0xFC.
  std::string_view piece(TokenId id) const;
  /// All pieces joined; `skip_special` leaves out tokens whose `special` flag is set. May be ill-formed UTF-8.
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const;

  /// The id of a token by its exact spelling.
  std::optional<TokenId> find(std::string_view spelling) const;
  bool is_control(TokenId id) const;

  /// Declares an added token to be control although the file marks it special: false (DeepSeek-V3's
  /// "<｜User｜>"). No effect when the vocabulary has no such added token.
  void mark_control(std::string_view spelling);

  std::size_t vocab_size() const;  ///< highest id + 1
  PreTokenizer pre_tokenizer() const;
  std::span<const AddedToken> added_tokens() const;
  std::string_view description() const;  ///< "byte-level BPE, 151,665 tokens, qwen2 pre-tokenizer"

  std::optional<TokenId> bos() const;
  std::vector<TokenId> eos() const;  ///< all that end a reply, as tokenizer files know them
  bool adds_bos() const;             ///< the model's own habit: an encoded text begins with BOS

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Turns a stream of ids into text that never ends inside a UTF-8 character.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  /// Text that became complete with this token (may be empty).
  std::string push(TokenId id);
  std::string push(std::string_view bytes);
  /// What is left at the end, ill-formed parts replaced by U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace minke::text
