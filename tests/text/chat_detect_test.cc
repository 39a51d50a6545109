#include <algorithm>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/chat.h"

namespace minke::text {
namespace {

std::string read(const std::string& name) {
  std::ifstream in(std::string(MINKE_SOURCE_DIR) + "/tests/data/templates/" + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

using Tokens = std::vector<std::string_view>;
const Tokens kQwen25 = {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>"};
const Tokens kQwen3 = {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "<think>", "</think>"};
const Tokens kDistill = {"<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>",
                         "<|start_header_id|>",     "<|eot_id|>"};
const Tokens kLlama3 = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
const Tokens kLlama31 = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                         "<|python_tag|>"};
const Tokens kSmol = {"<|im_start|>", "<|im_end|>", "<|endoftext|>"};
// DeepSeek's own vocabularies: V2's, and V3's with what R1 and V3.1 put on its placeholders.
const Tokens kLlm = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"};
const Tokens kV2 = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"};
const Tokens kV3 = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
                    "<｜place▁holder▁no▁0｜>"};
const Tokens kR1 = {"<｜begin▁of▁sentence｜>",
                    "<｜end▁of▁sentence｜>",
                    "<｜User｜>",
                    "<｜Assistant｜>",
                    "<｜place▁holder▁no▁0｜>",
                    "<think>",
                    "</think>"};
const Tokens kV31 = {"<｜begin▁of▁sentence｜>",
                     "<｜end▁of▁sentence｜>",
                     "<｜User｜>",
                     "<｜Assistant｜>",
                     "<｜place▁holder▁no▁0｜>",
                     "<think>",
                     "</think>",
                     "<｜search▁begin｜>"};
const Tokens kGlm = {"[gMASK]",       "<sop>",         "<|system|>", "<|user|>",
                     "<|assistant|>", "<|endoftext|>", "<think>",    "</think>"};

ChatEncoding::Detected detect(std::string_view text, std::string_view architecture, const Tokens& tokens) {
  return ChatEncoding::detect(text, architecture, [&tokens](std::string_view token) {
    return std::ranges::find(tokens, token) != tokens.end();
  });
}

struct Case {
  const char* file;
  const char* architecture;
  const Tokens* tokens;
  Encoding encoding;
  // Some templates are another one with a single difference.
  std::string_view without = {}, with = {};

  std::string text() const {
    std::string text = read(file);
    if (without.empty()) return text;
    const std::size_t at = text.find(without);
    EXPECT_NE(at, text.npos) << file;
    return text.replace(at, without.size(), with);
  }
};

constexpr std::string_view kOpens = "<think>\\n";  // as the template spells the line end
constexpr std::string_view kSmolSystem = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
constexpr std::string_view kSmolFirst =
    "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}";

const std::vector<Case> kCases = {
    {"deepseek-r1-distill.jinja", "qwen2", &kDistill, Encoding::r1_distill_qwen},
    {"deepseek-r1-distill.jinja", "llama", &kDistill, Encoding::r1_distill_llama},
    {"deepseek-r1-distill-tidied.jinja", "qwen2", &kDistill, Encoding::r1_distill_qwen},
    {"deepseek-r1-distill.jinja", "llama", &kDistill, Encoding::r1_distill_original, kOpens},
    {"smollm2.jinja", "llama", &kSmol, Encoding::smollm2},
    {"smollm2.jinja", "llama", &kSmol, Encoding::chatml, kSmolFirst},
    {"smollm2.jinja", "qwen2", &kQwen25, Encoding::qwen2, kSmolSystem, "You are a helpful assistant."},
    {"qwen2.5.jinja", "qwen2", &kQwen25, Encoding::qwen2_5},
    {"qwen2.5-coder-gguf.jinja", "qwen2", &kQwen25, Encoding::qwen2_5},
    {"qwen3.jinja", "qwen3", &kQwen3, Encoding::qwen3},
    {"llama3.jinja", "llama", &kLlama3, Encoding::llama3},
    {"llama3-original.jinja", "llama", &kLlama3, Encoding::llama3},
    {"llama3.1.jinja", "llama", &kLlama31, Encoding::llama3_1},
    {"llama3.2.jinja", "llama", &kLlama31, Encoding::llama3_1},
    {"deepseek-v3.jinja", "deepseek_v3", &kV3, Encoding::deepseek_v3},
    {"deepseek-v3.jinja", "deepseek2", &kV3, Encoding::deepseek_v3},
    {"deepseek-v3.1.jinja", "deepseek_v3", &kV31, Encoding::deepseek_v3_1},
    {"glm-4.6.jinja", "glm4_moe", &kGlm, Encoding::glm4_5},
    {"glm-4.7.jinja", "glm4_moe", &kGlm, Encoding::glm4_7},
    {"glm-4.7.jinja", "glm4_moe_lite", &kGlm, Encoding::glm4_7},
    {"glm-4.7.jinja", "deepseek2", &kGlm, Encoding::glm4_7},
};

TEST(ChatDetect, KnownTemplatesWithoutAWarning) {
  for (const Case& item : kCases) {
    const auto detected = detect(item.text(), item.architecture, *item.tokens);
    EXPECT_EQ(to_string(detected.encoding->kind()), to_string(item.encoding)) << item.file;
    EXPECT_EQ(detected.warning, "") << item.file;
    EXPECT_EQ(detected.prints_today, std::string_view(item.file) == "llama3.2.jinja") << item.file;
  }
}

TEST(ChatDetect, WhitespaceAndEscapesDoNotMatter) {
  for (const Case& item : kCases) {
    const std::string text = item.text();
    const std::uint64_t fingerprint = template_fingerprint(text);
    std::string escaped, windows;
    for (const char c : text) {
      escaped += c == '\n' ? "\\n" : std::string(1, c);
      windows += c == '\n' ? "\r\n" : std::string(1, c);
    }
    EXPECT_EQ(template_fingerprint(escaped), fingerprint) << item.file;
    EXPECT_EQ(template_fingerprint("\n" + windows + "\n\n"), fingerprint) << item.file;
    EXPECT_NE(template_fingerprint(text + "x"), fingerprint) << item.file;
  }
}

TEST(ChatDetect, EditedTemplatesAreToldByTheirMarkersWithAWarning) {
  for (const Case& item : kCases) {
    const auto detected = detect(item.text() + "{# edited #}", item.architecture, *item.tokens);
    EXPECT_EQ(to_string(detected.encoding->kind()), to_string(item.encoding)) << item.file;
    EXPECT_NE(detected.warning.find("--encoding"), std::string::npos) << item.file;
  }
}

// What stands in a template of each family that has no copy here.
TEST(ChatDetect, TemplatesByWhatTheyWrite) {
  const auto told = [](std::string_view text, std::string_view architecture, const Tokens& tokens) {
    return to_string(detect(text, architecture, tokens).encoding->kind());
  };
  constexpr std::string_view kPlain = "{{ 'User: ' + m.content }}{{ 'Assistant: ' + m.content + eos_token }}";
  EXPECT_EQ(told(kPlain, "llama", kLlm), "deepseek-llm");
  EXPECT_EQ(told(kPlain, "deepseek_v2", kV2), "deepseek-llm");
  EXPECT_EQ(told("{{'<｜User｜>' + m.content}}{{'<｜Assistant｜>'}}", "deepseek_v2", kV2), "deepseek-v2.5");
  EXPECT_EQ(told("{{'<｜User｜>' + m.content}}{{'<｜Assistant｜>'}}", "deepseek2", kV2), "deepseek-v2.5");
  constexpr std::string_view kAnnounces = "{{'<｜User｜>' + content + '<｜Assistant｜>'}}";
  EXPECT_EQ(told(kAnnounces, "qwen3", kDistill), "r1-0528-qwen3");
  EXPECT_EQ(told(kAnnounces, "deepseek_v3", kR1), "r1-0528-qwen3");  // R1-0528 itself
  EXPECT_EQ(told("{{ '<|im_start|>assistant\\n<think>\\n' }}", "qwen3", kQwen3), "qwen3-thinking");
}

TEST(ChatDetect, MissingTemplates) {
  EXPECT_EQ(detect("", "qwen2", kQwen25).encoding->kind(), Encoding::qwen2_5);
  EXPECT_EQ(detect("", "qwen2", kSmol).encoding->kind(), Encoding::qwen2);
  EXPECT_EQ(detect("", "qwen3", kQwen3).encoding->kind(), Encoding::qwen3);
  EXPECT_EQ(detect("", "llama", kDistill).encoding->kind(), Encoding::r1_distill_llama);
  EXPECT_EQ(detect("", "llama", kLlama31).encoding->kind(), Encoding::llama3_1);
  EXPECT_EQ(detect("", "llama", kLlama3).encoding->kind(), Encoding::llama3);
  EXPECT_FALSE(detect("", "llama", kLlama3).warning.empty());
  for (const char* architecture : {"deepseek_v3", "deepseek2"}) {
    EXPECT_EQ(detect("", architecture, kV3).encoding->kind(), Encoding::deepseek_v3);
    EXPECT_EQ(detect("", architecture, kR1).encoding->kind(), Encoding::deepseek_r1);
    EXPECT_EQ(detect("", architecture, kV31).encoding->kind(), Encoding::deepseek_v3_1);
  }
  EXPECT_EQ(detect("", "glm4_moe_lite", kGlm).encoding->kind(), Encoding::glm4_7);
  EXPECT_EQ(detect("", "deepseek2", kGlm).encoding->kind(), Encoding::glm4_7);
}

TEST(ChatDetect, R1ByWhatItsTemplateWrites) {
  const std::string edited = read("deepseek-r1-distill.jinja") + "{# edited #}";
  EXPECT_EQ(detect(edited, "deepseek_v3", kR1).encoding->kind(), Encoding::deepseek_r1);
  EXPECT_EQ(detect(edited, "deepseek2", kR1).encoding->kind(), Encoding::deepseek_r1);
}

void expect_refused(std::string_view text, std::string_view architecture, const Tokens& tokens) {
  try {
    detect(text, architecture, tokens);
    FAIL() << text << " " << architecture;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
    for (const std::string_view name : encoding_names()) EXPECT_NE(error.hint().find(name), std::string::npos) << name;
  }
}

TEST(ChatDetect, OtherwiseAnErrorThatListsTheChoices) {
  expect_refused("", "llama", kSmol);  // SmolLM2 or any ChatML model: ambiguous
  expect_refused("", "gpt2", {});
  expect_refused("", "llama", kLlm);         // a base model, or DeepSeek Coder
  expect_refused("", "deepseek_v2", kV2);    // V2 or V2.5
  expect_refused("", "deepseek_v32", kV31);  // later generations have encodings of their own
  expect_refused("", "glm4_moe", kGlm);      // 4.5, 4.6 or 4.7
  expect_refused("### Instruction:", "llama", kLlm);
  expect_refused("{{ messages }}", "qwen2", kQwen25);  // writes no marker we know
  expect_refused("<|im_start|> or <|start_header_id|>", "llama",
                 {"<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>"});
  expect_refused(read("qwen2.5.jinja"), "qwen2", {});  // a vocabulary that cannot write it
}

}  // namespace
}  // namespace minke::text
