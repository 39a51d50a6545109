#include "api/responses_stream.h"

#include <string>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "api/json_text.h"
#include "api/reply_stream.h"
#include "base/cat.h"

namespace minke::api {
namespace {

namespace json = boost::json;

json::object usage_of(const Spent& spent) {
  return {{"input_tokens", spent.prompt_tokens},
          {"input_tokens_details", json::object{{"cached_tokens", spent.cached_tokens}, {"cache_write_tokens", 0}}},
          {"output_tokens", spent.output_tokens},
          {"output_tokens_details", json::object{{"reasoning_tokens", spent.reasoning_tokens}}},
          {"total_tokens", spent.prompt_tokens + spent.output_tokens}};
}

/// The same for both forms: the whole reply is the last event's response.
class ResponsesStream final : public ReplyStream {
 public:
  ResponsesStream(std::unique_ptr<Generation> generation, Envelope envelope, json::object echo,
                  const text::Tokenizer& tokenizer, bool logprobs, bool events)
      : ReplyStream(std::move(generation), events),
        envelope_(std::move(envelope)),
        echo_(std::move(echo)),
        tokenizer_(&tokenizer),
        with_logprobs_(logprobs) {}

  void keep_alive(std::string& out) const override {
    if (!is_events()) {
      out += "\n";
      return;
    }
    const std::string what = generation().waiting_for();
    out += what.empty() ? std::string(": keep-alive\n\n") : base::cat(": keep-alive, ", what, "\n\n");
  }

 private:
  enum class Item { none, reasoning, message };

  void begin(std::string& out) override {
    send("response.created", {{"response", response("in_progress")}}, out);
    send("response.in_progress", {{"response", response("in_progress")}}, out);
  }

  void take(Generation::Piece&& piece, std::string& out) override {
    if (!piece.delta.reasoning.empty()) {
      open(Item::reasoning, out);
      text_ += piece.delta.reasoning;
      send("response.reasoning_text.delta", in_part({{"delta", json_text(piece.delta.reasoning)}}), out);
    }
    if (!piece.delta.content.empty() || !piece.delta.content_tokens.empty()) {
      open(Item::message, out);
      text_ += piece.delta.content;
      json::array logprobs;
      if (with_logprobs_) logprobs = logprobs_json(*tokenizer_, piece.delta.content_tokens);
      logprobs_.insert(logprobs_.end(), logprobs.begin(), logprobs.end());
      send("response.output_text.delta",
           in_part({{"delta", json_text(piece.delta.content)}, {"logprobs", std::move(logprobs)}}), out);
    }
    if (piece.end) reason_ = *piece.end;
  }

  void complete(std::string& out) override {
    // A reply of nothing at all is an empty message.
    if (open_ == Item::none) open(Item::message, out);
    const bool whole = reason_ == engine::FinishReason::stop;
    close(whole ? "completed" : "incomplete", out);
    json::object last = response(whole ? "completed" : "incomplete");
    if (!whole) last["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    last["usage"] = usage_of(spent());
    if (is_events()) {
      send(whole ? "response.completed" : "response.incomplete", {{"response", std::move(last)}}, out);
    } else {
      out += json::serialize(last);
    }
  }

  void fail(const ApiError& error, std::string& out) override {
    json::object last = response("failed");
    last["error"] = json::object{{"code", "server_error"}, {"message", json_bytes(error.message())}};
    send("response.failed", {{"response", std::move(last)}}, out);
  }

  json::object response(std::string_view status) const {
    json::object body{{"id", json_text(envelope_.id)},
                      {"object", "response"},
                      {"created_at", envelope_.created},
                      {"status", json_text(status)},
                      {"background", false},
                      {"error", nullptr},
                      {"incomplete_details", nullptr},
                      {"model", json_bytes(envelope_.model)},
                      {"output", items_},
                      {"usage", nullptr}};
    for (const auto& [key, value] : echo_) body.insert_or_assign(key, value);
    return body;
  }

  /// The open item's only part.
  json::object part() const {
    if (open_ == Item::reasoning) return {{"type", "reasoning_text"}, {"text", json_text(text_)}};
    return {
        {"type", "output_text"}, {"text", json_text(text_)}, {"annotations", json::array()}, {"logprobs", logprobs_}};
  }

  json::object item(std::string_view status, bool with_part) const {
    json::array content;
    if (with_part) content.emplace_back(part());
    json::object item{{"id", json_text(id_)},
                      {"type", open_ == Item::reasoning ? "reasoning" : "message"},
                      {"status", json_text(status)},
                      {"content", std::move(content)}};
    if (open_ == Item::reasoning) {
      item["summary"] = json::array();
    } else {
      item["role"] = "assistant";
    }
    return item;
  }

  /// Fields of an event that is about the open item's part.
  json::object in_part(json::object fields) const {
    fields["item_id"] = json_text(id_);
    fields["output_index"] = items_.size();
    fields["content_index"] = 0;
    return fields;
  }

  void open(Item which, std::string& out) {
    if (open_ == which) return;
    close("completed", out);
    open_ = which;
    id_ = random_id(which == Item::reasoning ? "rs_" : "msg_");
    send("response.output_item.added", {{"output_index", items_.size()}, {"item", item("in_progress", false)}}, out);
    send("response.content_part.added", in_part({{"part", part()}}), out);
  }

  void close(std::string_view status, std::string& out) {
    if (open_ == Item::none) return;
    if (open_ == Item::reasoning) {
      send("response.reasoning_text.done", in_part({{"text", json_text(text_)}}), out);
    } else {
      send("response.output_text.done", in_part({{"text", json_text(text_)}, {"logprobs", logprobs_}}), out);
    }
    send("response.content_part.done", in_part({{"part", part()}}), out);
    send("response.output_item.done", {{"output_index", items_.size()}, {"item", item(status, true)}}, out);
    items_.emplace_back(item(status, true));
    open_ = Item::none;
    text_.clear();
    logprobs_.clear();
  }

  void send(std::string_view type, json::object&& fields, std::string& out) {
    if (!is_events()) return;
    json::object event{{"type", json_text(type)}, {"sequence_number", sequence_++}};
    for (auto& [key, value] : fields) event.insert_or_assign(key, std::move(value));
    out += base::cat("event: ", type, "\ndata: ", json::serialize(event), "\n\n");
  }

  Envelope envelope_;
  json::object echo_;
  const text::Tokenizer* tokenizer_;
  bool with_logprobs_;
  json::array items_;  // that are complete
  Item open_ = Item::none;
  std::string id_, text_;  // of the open one
  json::array logprobs_;
  std::size_t sequence_ = 0;
  engine::FinishReason reason_ = engine::FinishReason::stop;
};

}  // namespace

std::unique_ptr<Stream> make_responses_stream(std::unique_ptr<Generation> generation, Envelope envelope,
                                              json::object echo, const text::Tokenizer& tokenizer, bool logprobs,
                                              bool events) {
  return std::make_unique<ResponsesStream>(std::move(generation), std::move(envelope), std::move(echo), tokenizer,
                                           logprobs, events);
}

}  // namespace minke::api
