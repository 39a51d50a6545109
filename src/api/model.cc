#include "api/model.h"

#include <algorithm>

#include "api/api_error.h"
#include "base/cat.h"
#include "base/error.h"

namespace minke::api {

bool is_deepseek_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames = {"deepseek-chat", "deepseek-reasoner", "deepseek-flash",
                                                      "deepseek-v4-flash", "deepseek-v4-pro"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool Model::answers_to(std::string_view asked) const {
  return asked == name || is_deepseek_name(asked) || std::find(aliases.begin(), aliases.end(), asked) != aliases.end();
}

Prompt Model::chat_prompt(std::span<const text::Message> messages, text::Thinking asked) const {
  if (!encoding) {
    throw ApiError(Fault::unsupported, base::cat("the model ", name,
                                                 " has no chat encoding; use /v1/completions, or start the server with "
                                                 "--encoding"));
  }
  text::RenderOptions options;
  options.thinking = asked == text::Thinking::automatic ? thinking : asked;
  if (date) options.date = date();
  try {
    const text::RenderedPrompt rendered = encoding->render(messages, options);
    Prompt prompt;
    prompt.tokens = rendered.encode(*tokenizer);
    prompt.starts_in_thinking = rendered.starts_in_thinking;
    prompt.chat = true;
    return prompt;
  } catch (const base::Error& error) {
    throw ApiError::from(error);
  }
}

Prompt Model::text_prompt(std::string_view given) const {
  Prompt prompt;
  if (tokenizer->adds_bos()) {
    if (const auto bos = tokenizer->bos()) prompt.tokens.push_back(*bos);
  }
  tokenizer->encode(given, text::ControlText::ordinary, prompt.tokens);
  return prompt;
}

}  // namespace minke::api
