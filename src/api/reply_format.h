// The JSON of replies: chats and completions, whole and in chunks.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "api/dialect.h"
#include "api/generation.h"
#include "api/model.h"
#include "api/random_id.h"

namespace minke::api {

/// What all chunks of a reply share.
struct Envelope {
  std::string id;
  std::int64_t created = 0;  ///< seconds since 1970
  std::string model;         ///< as the request named it
  std::string fingerprint;
  Dialect dialect = Dialect::openai;
};

/// "usage", with OpenAI's and DeepSeek's names for cached tokens.
boost::json::object usage_json(const Spent& spent);
/// "timings", with llama.cpp's names.
boost::json::object timings_json(const Spent& spent);
/// Tokens with their log-probabilities and those of the most likely ones: {"token","logprob","bytes","top_logprobs"}.
boost::json::array logprobs_json(const text::Tokenizer& tokenizer, const std::vector<engine::TokenDrawn>& tokens);
/// "stop" or "length".
std::string_view finish_text(engine::FinishReason reason);

/// A whole reply's calls out of their pieces.
std::vector<text::ToolCall> joined_calls(const std::vector<CallDelta>& pieces);
/// A call's arguments for protocols that have an object there; {"arguments": TEXT} where they are none.
boost::json::object arguments_json(const std::string& arguments);

/// One kind of reply. Not shared: it may count along.
class ReplyFormat {
 public:
  virtual ~ReplyFormat() = default;

  /// The chunk that comes before a choice's first one, if there is one.
  virtual std::optional<boost::json::object> opening(std::size_t choice) = 0;
  virtual boost::json::object chunk(std::size_t choice, const TextDelta& delta) = 0;
  /// A piece of a call that begins or goes on.
  virtual boost::json::object call_chunk(std::size_t choice, const CallDelta& call);
  /// A choice's last.
  virtual boost::json::object ending(std::size_t choice, engine::FinishReason reason) = 0;
  /// Without choices, for the usage.
  virtual boost::json::object without_choices() const = 0;
  /// A whole reply: every choice's text and end.
  struct Choice {
    TextDelta text;
    engine::FinishReason reason = engine::FinishReason::stop;
  };
  virtual boost::json::object whole(const std::vector<Choice>& choices) = 0;
};

std::unique_ptr<ReplyFormat> make_chat_format(Envelope envelope, const text::Tokenizer& tokenizer, bool logprobs);
/// `echo`: what stands before each prompt's replies; empty strings for nothing. `samples` choices for each of them.
std::unique_ptr<ReplyFormat> make_completion_format(Envelope envelope, const text::Tokenizer& tokenizer,
                                                    std::optional<std::size_t> logprobs, std::vector<std::string> echo,
                                                    std::size_t samples);

}  // namespace minke::api
