// ReplyFormat of completions: "text_completion".
#include <algorithm>
#include <utility>

#include "api/json_text.h"
#include "api/reply_format.h"

namespace minke::api {
namespace {

namespace json = boost::json;

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

class CompletionFormat final : public ReplyFormat {
 public:
  CompletionFormat(Envelope envelope, const text::Tokenizer& tokenizer, std::optional<std::size_t> logprobs,
                   std::vector<std::string> echo, std::size_t samples)
      : envelope_(std::move(envelope)),
        tokenizer_(&tokenizer),
        logprobs_(logprobs),
        echo_(std::move(echo)),
        samples_(samples),
        offsets_(echo_.size() * samples, 0) {}

  std::optional<json::object> opening(std::size_t choice) override {
    const std::string& echo = echo_[choice / samples_];
    if (echo.empty()) return std::nullopt;
    return chunk_of(choice, echo, nullptr, nullptr);
  }

  json::object chunk(std::size_t choice, const TextDelta& delta) override {
    return chunk_of(choice, delta.content, logprobs_json(choice, delta), nullptr);
  }

  json::object ending(std::size_t choice, engine::FinishReason reason) override {
    return chunk_of(choice, {}, nullptr, json_text(finish_text(reason)));
  }

  json::object without_choices() const override { return envelope(json::array()); }

  json::object whole(const std::vector<Choice>& choices) override {
    json::array list;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      list.emplace_back(json::object{{"text", json_text(echo_[i / samples_] + choices[i].text.content)},
                                     {"index", i},
                                     {"logprobs", logprobs_json(i, choices[i].text)},
                                     {"finish_reason", json_text(finish_text(choices[i].reason))}});
    }
    return envelope(std::move(list));
  }

 private:
  json::object envelope(json::array choices) const {
    return {{"id", json_text(envelope_.id)},
            {"object", "text_completion"},
            {"created", envelope_.created},
            {"model", json_bytes(envelope_.model)},
            {"system_fingerprint", json_text(envelope_.fingerprint)},
            {"choices", std::move(choices)}};
  }

  json::object chunk_of(std::size_t choice, std::string_view text, json::value logprobs, json::value finish) const {
    json::array choices;
    choices.emplace_back(json::object{{"text", json_text(text)},
                                      {"index", choice},
                                      {"logprobs", std::move(logprobs)},
                                      {"finish_reason", std::move(finish)}});
    return envelope(std::move(choices));
  }

  /// Four lists of equal length: the tokens, how likely they were, the most likely ones, where their text begins.
  json::value logprobs_json(std::size_t choice, const TextDelta& delta) {
    if (!logprobs_) return nullptr;
    json::array tokens, chosen, top, offsets;
    for (const engine::TokenDrawn& drawn : delta.content_tokens) {
      const std::string_view piece = tokenizer_->piece(drawn.token);
      tokens.emplace_back(json_bytes(piece));
      chosen.emplace_back(static_cast<double>(drawn.logprob.value_or(0)));
      json::object best;
      for (const engine::TokenLogprob& one : drawn.top) {
        best[json_bytes(tokenizer_->piece(one.token)).get_string()] = static_cast<double>(one.logprob);
      }
      top.emplace_back(std::move(best));
      offsets.emplace_back(offsets_[choice]);
      offsets_[choice] += characters(piece);
    }
    return json::object{{"tokens", std::move(tokens)},
                        {"token_logprobs", std::move(chosen)},
                        {"top_logprobs", std::move(top)},
                        {"text_offset", std::move(offsets)}};
  }

  Envelope envelope_;
  const text::Tokenizer* tokenizer_;
  std::optional<std::size_t> logprobs_;
  std::vector<std::string> echo_;
  std::size_t samples_;
  std::vector<std::size_t> offsets_;
};

}  // namespace

std::unique_ptr<ReplyFormat> make_completion_format(Envelope envelope, const text::Tokenizer& tokenizer,
                                                    std::optional<std::size_t> logprobs, std::vector<std::string> echo,
                                                    std::size_t samples) {
  return std::make_unique<CompletionFormat>(std::move(envelope), tokenizer, logprobs, std::move(echo), samples);
}

}  // namespace minke::api
