#include "text/chat.h"

#include <array>
#include <ctime>

#include "base/cat.h"
#include "text/encoding_builder.h"

namespace minke::text {
namespace {

struct Named {
  Encoding encoding;
  std::string_view name;
  std::unique_ptr<ChatEncoding> (*make)(Encoding);
};

constexpr std::array<Named, 19> kEncodings = {{
    {Encoding::r1_distill_qwen, "r1-distill-qwen", make_deepseek_encoding},
    {Encoding::r1_distill_llama, "r1-distill-llama", make_deepseek_encoding},
    {Encoding::r1_distill_original, "r1-distill-original", make_deepseek_encoding},
    {Encoding::r1_0528_qwen3, "r1-0528-qwen3", make_deepseek_encoding},
    {Encoding::chatml, "chatml", make_chatml_encoding},
    {Encoding::qwen2, "qwen2", make_chatml_encoding},
    {Encoding::qwen2_5, "qwen2.5", make_chatml_encoding},
    {Encoding::qwen3, "qwen3", make_chatml_encoding},
    {Encoding::qwen3_thinking, "qwen3-thinking", make_chatml_encoding},
    {Encoding::llama3, "llama3", make_llama3_encoding},
    {Encoding::llama3_1, "llama3.1", make_llama3_encoding},
    {Encoding::smollm2, "smollm2", make_chatml_encoding},
    {Encoding::deepseek_llm, "deepseek-llm", make_deepseek_encoding},
    {Encoding::deepseek_v2_5, "deepseek-v2.5", make_deepseek_encoding},
    {Encoding::deepseek_v3, "deepseek-v3", make_deepseek_encoding},
    {Encoding::deepseek_r1, "deepseek-r1", make_deepseek_encoding},
    {Encoding::deepseek_v3_1, "deepseek-v3.1", make_deepseek_encoding},
    {Encoding::glm4_5, "glm-4.5", make_glm_encoding},
    {Encoding::glm4_7, "glm-4.7", make_glm_encoding},
}};

const Named& named(Encoding encoding) {
  for (const Named& entry : kEncodings) {
    if (entry.encoding == encoding) return entry;
  }
  return kEncodings.front();  // unreachable: the table holds every enumerator (a test walks them)
}

constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};

}  // namespace

std::string_view to_string(Role role) { return kRoles[static_cast<std::size_t>(role)]; }

std::optional<Role> role_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    if (kRoles[i] == name) return static_cast<Role>(i);
  }
  return std::nullopt;
}

std::string template_date(std::time_t now) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) return {};
  return base::cat(local.tm_mday < 10 ? "0" : "", local.tm_mday, ' ', kMonths[static_cast<std::size_t>(local.tm_mon)],
                   ' ', local.tm_year + 1900);
}

std::string_view to_string(Encoding encoding) { return named(encoding).name; }

std::optional<Encoding> encoding_from_name(std::string_view name) {
  for (const Named& entry : kEncodings) {
    if (entry.name == name) return entry.encoding;
  }
  return std::nullopt;
}

std::vector<std::string_view> encoding_names() {
  std::vector<std::string_view> names;
  names.reserve(kEncodings.size());
  for (const Named& entry : kEncodings) names.push_back(entry.name);
  return names;
}

std::string RenderedPrompt::text() const {
  std::string out;
  for (const PromptPiece& piece : pieces) out.append(piece.text);
  return out;
}

std::unique_ptr<ChatEncoding> ChatEncoding::create(Encoding encoding) { return named(encoding).make(encoding); }

}  // namespace minke::text
