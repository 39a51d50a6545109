// ReplyFormat of chats: "chat.completion" and "chat.completion.chunk".
#include <set>
#include <utility>

#include "api/json_text.h"
#include "api/reply_format.h"

namespace minke::api {
namespace {

namespace json = boost::json;

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
    return chunk_of(choice, std::move(fields), all_logprobs(delta), nullptr);
  }

  json::object call_chunk(std::size_t choice, const CallDelta& call) override {
    called_.insert(choice);
    json::object function;
    json::object entry{{"index", call.index}};
    if (call.begins()) {
      entry["id"] = json_text(call.id);
      entry["type"] = "function";
      function["name"] = json_bytes(call.name);
    }
    function["arguments"] = json_bytes(call.arguments);
    entry["function"] = std::move(function);
    return chunk_of(choice, {{"tool_calls", json::array{std::move(entry)}}}, nullptr, nullptr);
  }

  json::object ending(std::size_t choice, engine::FinishReason reason) override {
    return chunk_of(choice, {}, nullptr, json_text(end_text(reason, called_.count(choice) > 0)));
  }

  json::object without_choices() const override { return envelope("chat.completion.chunk", json::array()); }

  json::object whole(const std::vector<Choice>& choices) override {
    json::array list;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const TextDelta& text = choices[i].text;
      json::object message{{"role", "assistant"}, {"content", json_text(text.content)}};
      if (!text.reasoning.empty()) add_reasoning(text.reasoning, message);
      if (!text.calls.empty()) {
        message["tool_calls"] = calls_json(text.calls);
        if (text.content.empty()) message["content"] = nullptr;
      }
      if (envelope_.dialect == Dialect::openai) message["refusal"] = nullptr;
      list.emplace_back(json::object{{"index", i},
                                     {"message", std::move(message)},
                                     {"logprobs", all_logprobs(text)},
                                     {"finish_reason", json_text(end_text(choices[i].reason, !text.calls.empty()))}});
    }
    return envelope("chat.completion", std::move(list));
  }

 private:
  static std::string_view end_text(engine::FinishReason reason, bool called) {
    return called && reason == engine::FinishReason::stop ? "tool_calls" : finish_text(reason);
  }

  static json::array calls_json(const std::vector<CallDelta>& pieces) {
    json::array list;
    for (const text::ToolCall& call : joined_calls(pieces)) {
      list.emplace_back(json::object{
          {"id", json_text(call.id)},
          {"type", "function"},
          {"function", json::object{{"name", json_bytes(call.name)}, {"arguments", json_bytes(call.arguments)}}}});
    }
    return list;
  }

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

  json::value all_logprobs(const TextDelta& delta) const {
    if (!logprobs_) return nullptr;
    json::object result{{"content", logprobs_json(*tokenizer_, delta.content_tokens)}};
    if (!delta.reasoning_tokens.empty())
      result["reasoning_content"] = logprobs_json(*tokenizer_, delta.reasoning_tokens);
    if (envelope_.dialect == Dialect::openai) result["refusal"] = nullptr;
    return result;
  }

  Envelope envelope_;
  const text::Tokenizer* tokenizer_;
  bool logprobs_;
  std::set<std::size_t> called_;  // choices that have made a call
};

}  // namespace

std::unique_ptr<ReplyFormat> make_chat_format(Envelope envelope, const text::Tokenizer& tokenizer, bool logprobs) {
  return std::make_unique<ChatFormat>(std::move(envelope), tokenizer, logprobs);
}

}  // namespace minke::api
