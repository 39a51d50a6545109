// Which encoding a checkpoint wants: its template is recognised by fingerprint, never interpreted.
#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "text/chat.h"
#include "text/encoding_builder.h"

namespace minke::text {
namespace {

struct KnownTemplate {
  std::uint64_t fingerprint;
  Encoding encoding;
};

// A test recomputes these numbers from the templates in tests/data/templates. "Noted": from the published
// tokenizer_config.json, of which there is no copy here.
constexpr std::array<KnownTemplate, 25> kKnownTemplates = {{
    {0x6ebd33ab819ed9b8, Encoding::r1_distill_qwen},  // DeepSeek-R1-Distill-*, since February 2025
    {0x769af98d05a544d0, Encoding::r1_distill_qwen},  // the same, broken into lines
    {0x64e33fbc6b0bf9f6, Encoding::r1_distill_original},
    {0xc61f4e790f4c74ce, Encoding::r1_0528_qwen3},  // noted
    {0x0a2a7fdde81fe93e, Encoding::chatml},
    {0xac3e21adf083d713, Encoding::qwen2},
    {0x34e5c1e21abfbaa1, Encoding::qwen2_5},
    {0x9e4a364a307e2e2b, Encoding::qwen2_5},  // Qwen2.5-Coder's own GGUF files: braces doubled in the tools' text
    {0x98ebd90a6e248de8, Encoding::qwen3},
    {0x0a2b3e53af00133d, Encoding::qwen3},           // as revised in July 2025; noted
    {0xcc94abad13fcac19, Encoding::qwen3_thinking},  // noted
    {0xe6a91ca359f4278c, Encoding::llama3},
    {0xea115763e1502bf8, Encoding::llama3},  // first form: the generation prompt is unconditional
    {0xfac360e9b80168ea, Encoding::llama3_1},
    {0xc83c6a473c28bb34, Encoding::llama3_1},
    {0x2d12679674acf708, Encoding::smollm2},
    {0xdf7b25d71ebbd704, Encoding::deepseek_llm},   // noted
    {0x7cdf9232e2616396, Encoding::deepseek_v2_5},  // noted
    {0x3a56a45f61ccef1a, Encoding::deepseek_v3},
    {0x1066f83110feeeb7, Encoding::deepseek_r1},    // noted
    {0x2fd7893f907ca624, Encoding::deepseek_v3_1},  // noted
    {0x88c6103ec3fb651b, Encoding::deepseek_v3_1},  // as llama.cpp has it
    {0x14e6de40303357df, Encoding::glm4_5},         // noted
    {0xa4c8a3235e127b06, Encoding::glm4_5},         // GLM-4.6's, as llama.cpp has it
    {0x0f4ed47d6a7ba738, Encoding::glm4_7},
}};

// Tokens without which a family's prompt cannot be written.
struct Markers {
  std::string_view first, second;
};
constexpr Markers kDeepSeek = {"<｜User｜>", "<｜Assistant｜>"};
constexpr Markers kDeepSeekPlain = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"};
constexpr Markers kGlm = {"[gMASK]", "<|assistant|>"};
constexpr Markers kChatMl = {"<|im_start|>", "<|im_end|>"};
constexpr Markers kLlama3 = {"<|start_header_id|>", "<|eot_id|>"};

const Markers& markers_of(Encoding encoding) {
  switch (encoding) {
    case Encoding::r1_distill_qwen:
    case Encoding::r1_distill_llama:
    case Encoding::r1_distill_original:
    case Encoding::r1_0528_qwen3:
    case Encoding::deepseek_v2_5:
    case Encoding::deepseek_v3:
    case Encoding::deepseek_r1:
    case Encoding::deepseek_v3_1:
      return kDeepSeek;
    case Encoding::deepseek_llm:
      return kDeepSeekPlain;
    case Encoding::glm4_5:
    case Encoding::glm4_7:
      return kGlm;
    case Encoding::llama3:
    case Encoding::llama3_1:
      return kLlama3;
    default:
      return kChatMl;
  }
}

struct Checkpoint {
  std::string_view chat_template, architecture;
  const std::function<bool(std::string_view)>& has_token;

  bool has(const Markers& markers) const { return has_token(markers.first) && has_token(markers.second); }
  // An edited template still writes the family's markers; a missing one says nothing.
  bool speaks(const Markers& markers) const {
    return has(markers) && (chat_template.empty() || contains(chat_template, markers.first));
  }
};

// A checkpoint of DeepSeek's own shape, config's name or GGUF's ("deepseek2" is V2, V3, R1 and V3.1 alike).
// Later generations ("deepseek_v32", "deepseek4") have encodings of their own and must not match.
bool is_deepseek_architecture(std::string_view name) {
  return name == "deepseek" || name == "deepseek2" || name == "deepseek_v2" || name == "deepseek_v3";
}

// The vocabulary of V3 replaced V2's; R1 put <think> on one of its placeholders, V3.1 the search tokens.
std::optional<Encoding> deepseek_by_vocabulary(const Checkpoint& checkpoint) {
  if (checkpoint.has_token("<｜search▁begin｜>")) return Encoding::deepseek_v3_1;
  if (checkpoint.has_token(kThinkBegin)) return Encoding::deepseek_r1;
  if (checkpoint.has_token("<｜place▁holder▁no▁0｜>")) return Encoding::deepseek_v3;
  return std::nullopt;  // V2 or V2.5: they differ by the template alone
}

std::optional<Encoding> deepseek_by_text(std::string_view text) {
  if (contains(text, "{{'</think>'}}") || contains(text, "<｜Assistant｜></think>")) return Encoding::deepseek_v3_1;
  if (contains(text, "<｜Assistant｜><think>")) return Encoding::deepseek_r1;
  if (contains(text, "content + '<｜Assistant｜>'")) return Encoding::r1_0528_qwen3;  // R1-0528 speaks alike
  if (contains(text, kThinkEnd)) return Encoding::r1_distill_original;                // as R1 first did
  return contains(text, "is_first_sp") ? Encoding::deepseek_v3 : Encoding::deepseek_v2_5;
}

std::optional<Encoding> deepseek_by_markers(const Checkpoint& checkpoint) {
  if (is_deepseek_architecture(checkpoint.architecture)) {
    return checkpoint.chat_template.empty() ? deepseek_by_vocabulary(checkpoint)
                                            : deepseek_by_text(checkpoint.chat_template);
  }
  if (checkpoint.architecture == "qwen3") return Encoding::r1_0528_qwen3;
  if (checkpoint.architecture != "qwen2" && checkpoint.architecture != "llama") return std::nullopt;
  if (!checkpoint.chat_template.empty() && !contains(checkpoint.chat_template, "<｜Assistant｜><think>")) {
    return Encoding::r1_distill_original;
  }
  return checkpoint.architecture == "qwen2" ? Encoding::r1_distill_qwen : Encoding::r1_distill_llama;
}

// Of DeepSeek's plain-text prompt nothing is a token but BOS and EOS, which base models have as well: only a
// template that spells the roles tells it. (DeepSeek Coder's writes "### Instruction:".)
bool speaks_deepseek_plain(const Checkpoint& checkpoint) {
  return (is_deepseek_architecture(checkpoint.architecture) || checkpoint.architecture == "llama") &&
         checkpoint.has(kDeepSeekPlain) && contains(checkpoint.chat_template, "'User: '") &&
         contains(checkpoint.chat_template, "'Assistant: '") && !contains(checkpoint.chat_template, kDeepSeek.first);
}

std::optional<Encoding> glm_by_markers(const Checkpoint& checkpoint) {
  const std::string_view name = checkpoint.architecture, text = checkpoint.chat_template;
  // GLM-4.7-Flash calls itself deepseek2 in GGUF.
  const bool flash = name == "glm4_moe_lite" || name == "deepseek2";
  if (!flash && name != "glm4_moe" && name != "glm4moe") return std::nullopt;
  if (!text.empty()) return contains(text, kNoThink) ? Encoding::glm4_5 : Encoding::glm4_7;
  return flash ? std::optional(Encoding::glm4_7) : std::nullopt;  // 4.5, 4.6 or 4.7: one vocabulary
}

std::optional<Encoding> chatml_by_markers(const Checkpoint& checkpoint) {
  const std::string_view text = checkpoint.chat_template;
  if (checkpoint.architecture == "qwen3") {
    if (text.empty() || contains(text, "enable_thinking")) return Encoding::qwen3;
    const bool opens = contains(text, "assistant\\n<think>") || contains(text, "assistant\n<think>");
    return opens ? Encoding::qwen3_thinking : Encoding::chatml;
  }
  if (checkpoint.architecture == "qwen2") {
    if (contains(text, "You are Qwen, created by Alibaba Cloud")) return Encoding::qwen2_5;
    if (contains(text, "You are a helpful assistant")) return Encoding::qwen2;
    if (!text.empty()) return Encoding::chatml;
    return checkpoint.has_token("<tool_call>") ? Encoding::qwen2_5 : Encoding::qwen2;
  }
  if (checkpoint.architecture == "llama" && !text.empty()) {
    return contains(text, "named SmolLM") ? Encoding::smollm2 : Encoding::chatml;
  }
  return std::nullopt;
}

std::optional<Encoding> llama3_by_markers(const Checkpoint& checkpoint) {
  if (checkpoint.architecture != "llama") return std::nullopt;
  const bool dated = checkpoint.chat_template.empty() ? checkpoint.has_token("<|python_tag|>")
                                                      : contains(checkpoint.chat_template, "Cutting Knowledge Date");
  return dated ? Encoding::llama3_1 : Encoding::llama3;
}

// R1 distills keep their base model's markers in the vocabulary, so without a template DeepSeek's own decide.
std::optional<Encoding> by_markers(const Checkpoint& checkpoint) {
  const bool deepseek = checkpoint.speaks(kDeepSeek);
  const bool chatml = checkpoint.speaks(kChatMl);
  const bool llama3 = checkpoint.speaks(kLlama3);
  const bool glm = checkpoint.speaks(kGlm);
  const bool plain = speaks_deepseek_plain(checkpoint);
  if (!checkpoint.chat_template.empty() && deepseek + chatml + llama3 + glm + plain != 1) return std::nullopt;
  if (plain) return Encoding::deepseek_llm;
  if (deepseek) return deepseek_by_markers(checkpoint);
  if (chatml + llama3 + glm > 1) return std::nullopt;
  if (glm) return glm_by_markers(checkpoint);
  if (chatml) return chatml_by_markers(checkpoint);
  if (llama3) return llama3_by_markers(checkpoint);
  return std::nullopt;
}

std::optional<Encoding> by_fingerprint(const Checkpoint& checkpoint) {
  const std::uint64_t fingerprint = template_fingerprint(checkpoint.chat_template);
  const auto* const known = std::ranges::find(kKnownTemplates, fingerprint, &KnownTemplate::fingerprint);
  if (known == kKnownTemplates.end()) return std::nullopt;
  if (!checkpoint.has(markers_of(known->encoding))) return std::nullopt;
  if (known->encoding == Encoding::r1_distill_qwen && checkpoint.architecture == "llama") {
    return Encoding::r1_distill_llama;
  }
  return known->encoding;
}

std::string choices() {
  std::string list;
  for (const std::string_view name : encoding_names()) list.append(list.empty() ? "" : ", ").append(name);
  return list;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

std::uint64_t template_fingerprint(std::string_view chat_template) {
  constexpr std::uint64_t kOffset = 0xcbf29ce484222325, kPrime = 0x100000001b3;  // FNV-1a 64
  std::uint64_t hash = kOffset;
  bool space = false, any = false;
  for (std::size_t i = 0; i < chat_template.size(); ++i) {
    const char c = chat_template[i];
    const bool escape = c == '\\' && i + 1 < chat_template.size() && chat_template[i + 1] == 'n';
    if (escape || is_space(c)) {
      space = any;
      if (escape) ++i;
      continue;
    }
    if (space) hash = (hash ^ static_cast<std::uint64_t>(' ')) * kPrime;
    hash = (hash ^ static_cast<unsigned char>(c)) * kPrime;
    space = false;
    any = true;
  }
  return hash;
}

ChatEncoding::Detected ChatEncoding::detect(std::string_view chat_template, std::string_view architecture,
                                            const std::function<bool(std::string_view)>& has_token) {
  const Checkpoint checkpoint{chat_template, architecture, has_token};
  Detected detected;
  detected.prints_today = contains(chat_template, "strftime_now");
  if (const std::optional<Encoding> known = by_fingerprint(checkpoint)) {
    detected.encoding = create(*known);
    return detected;
  }
  const std::string what = chat_template.empty() ? "the checkpoint has no chat template"
                                                 : "the checkpoint's chat template is not one that Minke knows";
  if (const std::optional<Encoding> told = by_markers(checkpoint)) {
    detected.encoding = create(*told);
    detected.warning =
        base::cat(what, "; using the ", to_string(*told), " encoding, told by architecture ", architecture,
                  " and token ", markers_of(*told).first, " (--encoding NAME chooses another)");
    return detected;
  }
  throw base::Error(base::ErrorCode::unsupported,
                    base::cat("chat encoding: ", what, ", and architecture \"", architecture,
                              "\" with its tokens does not identify one family"),
                    base::cat("choose with --encoding, one of: ", choices()));
}

}  // namespace minke::text
