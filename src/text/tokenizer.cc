#include "text/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "base/cat.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "text/json_access.h"
#include "text/nfc.h"
#include "text/tokenizer_parts.h"

namespace minke::text {
namespace {

std::string with_thousands(std::size_t n) {
  const std::string digits = base::cat(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts p) : parts(std::move(p)) {
    for (std::size_t i = 0; i < parts.added.size(); ++i) {
      by_content.emplace(parts.added[i].content, i);
      if (parts.added[i].special) special.insert(parts.added[i].id);
    }
    std::sort(parts.eos.begin(), parts.eos.end());
    parts.eos.erase(std::unique(parts.eos.begin(), parts.eos.end()), parts.eos.end());
    parse = {matcher(true, false), matcher(true, true)};
    control.assign(parts.bpe.vocabulary().size(), 0);
    for (const AddedToken& token : parts.added) control[static_cast<std::size_t>(token.id)] = token.control ? 1 : 0;
    note_control();
    const std::size_t tokens = parts.bpe.vocabulary().size();
    description = base::cat("byte-level BPE, ", with_thousands(tokens), " tokens, ", to_string(parts.rule.kind),
                            " pre-tokenizer");
  }

  /// Added tokens for each meaning of control text, in the two rounds that Hugging Face makes: first those
  /// that are looked for in the text as it is, then, between them, those looked for in the normalised text.
  struct Matchers {
    AddedTokenMatcher plain, normalized;
  };

  AddedTokenMatcher matcher(bool with_control, bool normalized) const {
    std::vector<AddedTokenMatcher::Pattern> patterns;
    for (const AddedToken& token : parts.added) {
      if (token.normalized != normalized || (token.control && !with_control)) continue;
      patterns.push_back({normalized && parts.nfc ? to_nfc(token.content) : token.content, token.id, token.lstrip,
                          token.rstrip, token.single_word});
    }
    return AddedTokenMatcher(std::move(patterns));
  }

  /// Brings what depends on `control` up to date.
  void note_control() {
    control_reachable = control_reachable || parts.bpe.can_produce(control);
    ordinary = {matcher(false, false), matcher(false, true)};
  }

  const AddedToken* find_added(std::string_view content) const {
    const auto at = by_content.find(std::string(content));
    return at == by_content.end() ? nullptr : &parts.added[at->second];
  }

  TokenizerParts parts;
  std::unordered_map<std::string, std::size_t> by_content;  // index into parts.added
  Matchers ordinary, parse;
  std::unordered_set<TokenId> special;
  std::vector<char> control;       // by id
  bool control_reachable = false;  // BPE could arrive at some control token
  std::string description;
};

namespace {

/// Encoding one text: from added tokens over normalisation and pre-tokens to ids.
class Encoding final : PieceSink {
 public:
  Encoding(const TokenizerParts& parts, const AddedTokenMatcher& plain, const AddedTokenMatcher& normalized,
           const std::vector<char>* forbidden, std::size_t text_size, std::vector<TokenId>& out)
      : parts_(parts), plain_(plain), normalized_(normalized), forbidden_(forbidden), scratch_(text_size), out_(out) {}

  void run(std::string_view text) { plain_.split(text, first_); }

 private:
  struct First final : SegmentSink {
    explicit First(Encoding& encoding) : self(encoding) {}
    void text(std::string_view text) override { self.normalize(text); }
    void token(TokenId id) override { self.out_.push_back(id); }
    Encoding& self;
  };
  struct Second final : SegmentSink {
    explicit Second(Encoding& encoding) : self(encoding) {}
    void text(std::string_view text) override { pre_tokenize(self.parts_.rule, text, self); }
    void token(TokenId id) override { self.out_.push_back(id); }
    Encoding& self;
  };

  void normalize(std::string_view text) {
    if (!parts_.nfc || is_plainly_nfc(text)) return normalized_.split(text, second_);
    normalized_.split(to_nfc(text), second_);
  }

  void piece(std::string_view piece) override {
    const std::size_t before = out_.size();
    parts_.bpe.encode(piece, scratch_, out_);
    if (forbidden_ != nullptr) keep_ordinary(piece, before);
  }

  /// A word that BPE turned into a control token (its spelling is an ordinary word of the vocabulary) is
  /// spelt byte by byte instead: text never becomes control.
  void keep_ordinary(std::string_view piece, std::size_t before) {
    const auto is_forbidden = [this](TokenId id) { return (*forbidden_)[static_cast<std::size_t>(id)] != 0; };
    const auto first = out_.begin() + static_cast<std::ptrdiff_t>(before);
    if (std::none_of(first, out_.end(), is_forbidden)) return;
    out_.resize(before);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      parts_.bpe.encode(piece.substr(i, 1), scratch_, out_);
      if (!out_.empty() && is_forbidden(out_.back())) out_.pop_back();
    }
  }

  const TokenizerParts& parts_;
  const AddedTokenMatcher& plain_;
  const AddedTokenMatcher& normalized_;
  const std::vector<char>* forbidden_;
  BpeScratch scratch_;
  std::vector<TokenId>& out_;
  First first_{*this};
  Second second_{*this};
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

namespace {

/// A token of tokenizer_config.json: its spelling, or an object that has it as `content`.
std::optional<std::string_view> config_token(const boost::json::object& config, std::string_view key) {
  const boost::json::value* value = find_member(config, key);
  if (value != nullptr && value->is_object()) value = find_member(value->get_object(), "content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return view(value->get_string());
}

/// eos_token_id of generation_config.json: an id or a list of ids.
std::vector<TokenId> config_ids(const boost::json::object& config, std::string_view key, std::size_t limit) {
  std::vector<TokenId> ids;
  const auto take = [&](const boost::json::value& value) {
    if (value.is_int64() && value.get_int64() >= 0 && static_cast<std::uint64_t>(value.get_int64()) < limit) {
      ids.push_back(static_cast<TokenId>(value.get_int64()));
    }
  };
  if (const boost::json::value* value = find_member(config, key)) {
    take(*value);
    if (value->is_array()) {
      for (const boost::json::value& id : value->get_array()) take(id);
    }
  }
  return ids;
}

/// Names the vocabulary that is there instead: Kimi-K2 comes with tiktoken's, older models with SentencePiece's.
[[noreturn]] void fail_without_json(const std::string& folder) {
  struct Other {
    const char* file;
    const char* kind;
  };
  for (const Other other : {Other{"tiktoken.model", "tiktoken"}, Other{"tokenizer.model", "SentencePiece"}}) {
    std::error_code ignored;
    const std::string path = base::cat(folder, "/", other.file);
    if (std::filesystem::exists(path, ignored))
      throw base::Error(base::ErrorCode::unsupported,
                        base::cat(path, ": expected a tokenizer.json beside the weights, got only a vocabulary of ",
                                  other.kind, ", which this version does not read"),
                        "a tokenizer.json converted from it does; minke eval logits --ids needs no tokenizer");
  }
  throw base::Error(base::ErrorCode::not_found, base::cat(folder, ": no tokenizer.json"),
                    "copy it from the model's page beside the weights");
}

std::unique_ptr<Tokenizer> open_json(const formats::Checkpoint& checkpoint) {
  if (!checkpoint.tokenizer_text().empty())
    return Tokenizer::from_json(checkpoint.tokenizer_text(), base::cat(checkpoint.path(), ": tokenizer.json"));
  if (checkpoint.is_tiled())
    throw base::Error(base::ErrorCode::not_found, base::cat(checkpoint.path(), ": no tokenizer.json"),
                      "the folder that it was made of had none: convert it again from one that has");
  if (checkpoint.tokenizer_path().empty()) fail_without_json(checkpoint.path());
  const auto file = base::MappedFile::open(checkpoint.tokenizer_path());
  const std::string_view text(reinterpret_cast<const char*>(file->data().data()), file->data().size());
  auto tokenizer = Tokenizer::from_json(text, file->path());
  file->check();
  return tokenizer;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::open(const formats::Checkpoint& checkpoint) {
  if (checkpoint.kind() == formats::CheckpointKind::gguf) return from_gguf(checkpoint.metadata());
  auto tokenizer = open_json(checkpoint);

  TokenizerParts& parts = tokenizer->impl_->parts;
  const auto& config = checkpoint.tokenizer_config();
  const auto id_of = [&](std::string_view key) -> std::optional<TokenId> {
    const auto spelling = config_token(config, key);
    return spelling ? tokenizer->find(*spelling) : std::nullopt;
  };
  if (const auto id = id_of("bos_token")) parts.bos = id;
  // Where it is there it overrules the template, as in transformers.
  if (const boost::json::value* add = find_member(config, "add_bos_token"); add != nullptr && add->is_bool()) {
    parts.adds_bos = add->get_bool() && parts.bos.has_value();
  }
  parts.eos = config_ids(checkpoint.generation_config(), "eos_token_id", tokenizer->vocab_size());
  if (const auto id = id_of("eos_token")) parts.eos.push_back(*id);
  std::sort(parts.eos.begin(), parts.eos.end());
  parts.eos.erase(std::unique(parts.eos.begin(), parts.eos.end()), parts.eos.end());
  return tokenizer;
}

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view json, std::string_view source) {
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::make_unique<Impl>(parse_tokenizer_json(json, source))));
}

std::unique_ptr<Tokenizer> Tokenizer::from_gguf(const formats::GgufMetadata& metadata) {
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::make_unique<Impl>(parse_tokenizer_gguf(metadata))));
}

void Tokenizer::encode(std::string_view text, ControlText control, std::vector<TokenId>& out) const {
  std::string repaired;
  if (!base::is_valid_utf8(text)) {
    repaired = base::to_valid_utf8(text);
    text = repaired;
  }
  const bool parse = control == ControlText::parse;
  const Impl::Matchers& matchers = parse ? impl_->parse : impl_->ordinary;
  const std::vector<char>* forbidden = !parse && impl_->control_reachable ? &impl_->control : nullptr;
  Encoding(impl_->parts, matchers.plain, matchers.normalized, forbidden, text.size(), out).run(text);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, ControlText control) const {
  std::vector<TokenId> out;
  encode(text, control, out);
  return out;
}

std::string_view Tokenizer::piece(TokenId id) const {
  return id < 0 ? std::string_view() : impl_->parts.bpe.vocabulary().piece(static_cast<std::uint32_t>(id));
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string out;
  for (const TokenId id : ids) {
    if (skip_special && impl_->special.contains(id)) continue;
    out += piece(id);
  }
  return out;
}

std::optional<TokenId> Tokenizer::find(std::string_view spelling) const {
  if (const AddedToken* added = impl_->find_added(spelling)) return added->id;
  const auto id = impl_->parts.bpe.vocabulary().find_spelling(spelling);
  return id ? std::optional(static_cast<TokenId>(*id)) : std::nullopt;
}

bool Tokenizer::is_control(TokenId id) const {
  return id >= 0 && static_cast<std::size_t>(id) < impl_->control.size() &&
         impl_->control[static_cast<std::size_t>(id)] != 0;
}

void Tokenizer::mark_control(std::string_view spelling) {
  const auto at = impl_->by_content.find(std::string(spelling));
  if (at == impl_->by_content.end() || impl_->parts.added[at->second].control) return;
  AddedToken& token = impl_->parts.added[at->second];
  token.control = true;
  impl_->control[static_cast<std::size_t>(token.id)] = 1;
  impl_->note_control();
}

std::size_t Tokenizer::vocab_size() const { return impl_->parts.bpe.vocabulary().size(); }
PreTokenizer Tokenizer::pre_tokenizer() const { return impl_->parts.rule.kind; }
std::span<const AddedToken> Tokenizer::added_tokens() const { return impl_->parts.added; }
std::string_view Tokenizer::description() const { return impl_->description; }
std::optional<TokenId> Tokenizer::bos() const { return impl_->parts.bos; }
std::vector<TokenId> Tokenizer::eos() const { return impl_->parts.eos; }
bool Tokenizer::adds_bos() const { return impl_->parts.adds_bos; }

std::string StreamDecoder::push(TokenId id) { return push(tokenizer_->piece(id)); }

std::string StreamDecoder::push(std::string_view bytes) {
  pending_ += bytes;
  const std::size_t complete = base::complete_utf8_prefix(pending_);
  std::string out = base::to_valid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = base::to_valid_utf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace minke::text
