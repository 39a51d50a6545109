// Where chat encodings meet the tokenizer.
#include "base/error.h"
#include "text/chat.h"
#include "text/encoding_builder.h"

namespace minke::text {
namespace {

// Markers that vocabularies may lack: they are spelled out then, as such models were trained.
bool may_be_spelled_out(std::string_view marker) {
  if (marker == kThinkBegin || marker == kThinkEnd || marker == kNoThink) return true;
  for (const std::string_view begin : {"<tool_", "</tool_", "<arg_", "</arg_", "<｜tool▁"}) {
    if (marker.starts_with(begin)) return true;
  }
  return false;
}

}  // namespace

std::vector<TokenId> RenderedPrompt::encode(const Tokenizer& tokenizer) const {
  std::vector<TokenId> ids;
  std::string plain;  // text since the last control token: BPE must see it whole
  for (const PromptPiece& piece : pieces) {
    if (!piece.tokens.empty()) {
      tokenizer.encode(plain, ControlText::ordinary, ids);
      plain.clear();
      ids.insert(ids.end(), piece.tokens.begin(), piece.tokens.end());
      continue;
    }
    if (!piece.control) {
      plain.append(piece.text);
      continue;
    }
    const std::optional<TokenId> id = tokenizer.find(piece.text);
    if (id) {
      tokenizer.encode(plain, ControlText::ordinary, ids);
      plain.clear();
      ids.push_back(*id);
    } else if (may_be_spelled_out(piece.text)) {
      plain.append(piece.text);
    } else {
      throw base::Error(base::ErrorCode::unsupported,
                        base::cat("chat encoding: the vocabulary has no token \"", piece.text, "\""),
                        "this encoding does not fit the model; choose another with --encoding, or use --raw");
    }
  }
  tokenizer.encode(plain, ControlText::ordinary, ids);
  return ids;
}

ChatEncoding::Detected ChatEncoding::detect(std::string_view chat_template, std::string_view architecture,
                                            const Tokenizer& tokenizer) {
  return detect(chat_template, architecture,
                [&tokenizer](std::string_view spelling) { return tokenizer.find(spelling).has_value(); });
}

void ChatEncoding::mark_control(Tokenizer& tokenizer) const {
  for (const std::string_view spelling : control_tokens()) tokenizer.mark_control(spelling);
}

}  // namespace minke::text
