// Whose rules a route follows, where OpenAI's and DeepSeek's differ.
#pragma once

namespace minke::api {

enum class Dialect {
  openai,     ///< routes under /v1
  deepseek,   ///< routes without it, and under /beta
  anthropic,  ///< messages
  ollama,     ///< under /api
};

}  // namespace minke::api
