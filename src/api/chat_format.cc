// ReplyFormat of chats: "chat.completion" and "chat.completion.chunk".
#include <utility>

#include "api/json_text.h"
#include "api/reply_format.h"

namespace minke::api {
namespace {

namespace json = boost::json;

// DeepSeek's figure for "not among what is told".
constexpr float kLeastLogprob = -9999.0F;

double logprob_of(float value) { return static_cast<double>(value > kLeastLogprob ? value : kLeastLogprob); }

json::object token_json(const text::Tokenizer& tokenizer, engine::TokenId token, float logprob) {
  const std::string_view piece = tokenizer.piece(token);
  json::array bytes;
  bytes.reserve(piece.size());
  for (const char c : piece) bytes.emplace_back(static_cast<std::int64_t>(static_cast<unsigned char>(c)));
  return {{"token", json_bytes(piece)}, {"logprob", logprob_of(logprob)}, {"bytes", std::move(bytes)}};
}

json::array tokens_json(const text::Tokenizer& tokenizer, const std::vector<engine::TokenDrawn>& tokens) {
  json::array entries;
  for (const engine::TokenDrawn& drawn : tokens) {
    json::object entry = token_json(tokenizer, drawn.token, drawn.logprob.value_or(kLeastLogprob));
    json::array top;
    for (const engine::TokenLogprob& one : drawn.top) top.emplace_back(token_json(tokenizer, one.token, one.logprob));
    entry["top_logprobs"] = std::move(top);
    entries.emplace_back(std::move(entry));
  }
  return entries;
}

class ChatFormat final : public ReplyFormat {
 public:
  ChatFormat(Envelope envelope, const text::Tokenizer& tokenizer, bool logprobs)
      : envelope_(std::move(envelope)), tokenizer_(&tokenizer), logprobs_(logprobs) {}

  std::optional<json::object> opening(std::size_t choice) override {
    return chunk_of(choice, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
  }

  json::object chunk(std::size_t choice, const TextDelta& delta) override {
    json::object fields;
    if (!delta.content.empty()) fields["content"] = json_text(delta.content);
    if (!delta.reasoning.empty()) add_reasoning(delta.reasoning, fields);
    return chunk_of(choice, std::move(fields), logprobs_json(delta), nullptr);
  }

  json::object ending(std::size_t choice, engine::FinishReason reason) override {
    return chunk_of(choice, {}, nullptr, json_text(finish_text(reason)));
  }

  json::object without_choices() const override { return envelope("chat.completion.chunk", json::array()); }

  json::object whole(const std::vector<Choice>& choices) override {
    json::array list;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const TextDelta& text = choices[i].text;
      json::object message{{"role", "assistant"}, {"content", json_text(text.content)}};
      if (!text.reasoning.empty()) add_reasoning(text.reasoning, message);
      if (envelope_.dialect == Dialect::openai) message["refusal"] = nullptr;
      list.emplace_back(json::object{{"index", i},
                                     {"message", std::move(message)},
                                     {"logprobs", logprobs_json(text)},
                                     {"finish_reason", json_text(finish_text(choices[i].reason))}});
    }
    return envelope("chat.completion", std::move(list));
  }

 private:
  json::object envelope(std::string_view kind, json::array choices) const {
    return {{"id", json_text(envelope_.id)},
            {"object", json_text(kind)},
            {"created", envelope_.created},
            {"model", json_bytes(envelope_.model)},
            {"system_fingerprint", json_text(envelope_.fingerprint)},
            {"choices", std::move(choices)}};
  }

  json::object chunk_of(std::size_t choice, json::object delta, json::value logprobs, json::value finish) const {
    json::array choices;
    choices.emplace_back(json::object{{"index", choice},
                                      {"delta", std::move(delta)},
                                      {"logprobs", std::move(logprobs)},
                                      {"finish_reason", std::move(finish)}});
    return envelope("chat.completion.chunk", std::move(choices));
  }

  void add_reasoning(std::string_view reasoning, json::object& fields) const {
    fields["reasoning_content"] = json_text(reasoning);
    if (envelope_.dialect == Dialect::openai) fields["reasoning"] = json_text(reasoning);
  }

  json::value logprobs_json(const TextDelta& delta) const {
    if (!logprobs_) return nullptr;
    json::object result{{"content", tokens_json(*tokenizer_, delta.content_tokens)}};
    if (!delta.reasoning_tokens.empty()) result["reasoning_content"] = tokens_json(*tokenizer_, delta.reasoning_tokens);
    if (envelope_.dialect == Dialect::openai) result["refusal"] = nullptr;
    return result;
  }

  Envelope envelope_;
  const text::Tokenizer* tokenizer_;
  bool logprobs_;
};

}  // namespace

std::unique_ptr<ReplyFormat> make_chat_format(Envelope envelope, const text::Tokenizer& tokenizer, bool logprobs) {
  return std::make_unique<ChatFormat>(std::move(envelope), tokenizer, logprobs);
}

}  // namespace minke::api
