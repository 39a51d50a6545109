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
  ResponsesStream(std::unique_ptr<Generation> generation, Envelope envelope, ResponsesOptions options,
                  const text::Tokenizer& tokenizer)
      : ReplyStream(std::move(generation), options.events),
        envelope_(std::move(envelope)),
        options_(std::move(options)),
        tokenizer_(&tokenizer) {}

  void keep_alive(std::string& out) const override {
    if (!is_events()) {
      out += "\n";
      return;
    }
    const std::string what = generation().waiting_for();
    out += what.empty() ? std::string(": keep-alive\n\n") : base::cat(": keep-alive, ", what, "\n\n");
  }

 private:
  enum class Item { none, reasoning, message, call };

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
      if (options_.logprobs) logprobs = logprobs_json(*tokenizer_, piece.delta.content_tokens);
      logprobs_.insert(logprobs_.end(), logprobs.begin(), logprobs.end());
      send("response.output_text.delta",
           in_part({{"delta", json_text(piece.delta.content)}, {"logprobs", std::move(logprobs)}}), out);
    }
    for (const CallDelta& call : piece.delta.calls) take_call(call, out);
    if (piece.end) reason_ = *piece.end;
  }

  void take_call(const CallDelta& piece, std::string& out) {
    if (piece.begins()) {
      close("completed", out);
      call_ = {.id = piece.id, .name = piece.name, .arguments = {}};
      open(Item::call, out);
    }
    call_.arguments += piece.arguments;
    // A custom tool's text is known when its arguments are there.
    if (!piece.arguments.empty() && !custom()) {
      send("response.function_call_arguments.delta", in_item({{"delta", json_bytes(piece.arguments)}}), out);
    }
    if (piece.ended) close("completed", out);
  }

  void complete(std::string& out) override {
    // A reply of nothing at all is an empty message.
    if (open_ == Item::none && items_.empty()) open(Item::message, out);
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
    for (const auto& [key, value] : options_.echo) body.insert_or_assign(key, value);
    return body;
  }

  /// The open item's only part.
  json::object part() const {
    if (open_ == Item::reasoning) return {{"type", "reasoning_text"}, {"text", json_text(text_)}};
    return {
        {"type", "output_text"}, {"text", json_text(text_)}, {"annotations", json::array()}, {"logprobs", logprobs_}};
  }

  /// The open item; one that has just begun has nothing in it.
  json::object item(std::string_view status, bool begun) const {
    if (open_ == Item::call) return call_item(options_.tools, call_, id_, status);
    json::array content;
    if (!begun) content.emplace_back(part());
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

  bool custom() const { return is_custom(options_.tools, call_.name); }

  /// Fields of an event that is about the open item, or its part.
  json::object in_item(json::object fields) const {
    fields["item_id"] = json_text(id_);
    fields["output_index"] = items_.size();
    return fields;
  }
  json::object in_part(json::object fields) const {
    fields["content_index"] = 0;
    return in_item(std::move(fields));
  }

  std::string_view id_prefix() const {
    if (open_ == Item::call) return custom() ? "ctc_" : "fc_";
    return open_ == Item::reasoning ? "rs_" : "msg_";
  }

  void open(Item which, std::string& out) {
    if (open_ == which) return;
    close("completed", out);
    open_ = which;
    id_ = random_id(id_prefix());
    send("response.output_item.added", {{"output_index", items_.size()}, {"item", item("in_progress", true)}}, out);
    if (which != Item::call) send("response.content_part.added", in_part({{"part", part()}}), out);
  }

  void close(std::string_view status, std::string& out) {
    if (open_ == Item::none) return;
    close_part(out);
    json::object whole = item(status, false);
    send("response.output_item.done", {{"output_index", items_.size()}, {"item", whole}}, out);
    items_.emplace_back(std::move(whole));
    open_ = Item::none;
    text_.clear();
    logprobs_.clear();
  }

  void close_part(std::string& out) {
    if (open_ == Item::call) {
      close_call(out);
      return;
    }
    if (open_ == Item::reasoning) {
      send("response.reasoning_text.done", in_part({{"text", json_text(text_)}}), out);
    } else {
      send("response.output_text.done", in_part({{"text", json_text(text_)}, {"logprobs", logprobs_}}), out);
    }
    send("response.content_part.done", in_part({{"part", part()}}), out);
  }

  void close_call(std::string& out) {
    if (!custom()) {
      const json::object whole = item("completed", false);
      send("response.function_call_arguments.done",
           in_item({{"arguments", whole.at("arguments")}, {"name", whole.at("name")}}), out);
      return;
    }
    const json::value input = json_bytes(custom_input(call_.arguments));
    send("response.custom_tool_call_input.delta", in_item({{"delta", input}}), out);
    send("response.custom_tool_call_input.done", in_item({{"input", input}}), out);
  }

  void send(std::string_view type, json::object&& fields, std::string& out) {
    if (!is_events()) return;
    json::object event{{"type", json_text(type)}, {"sequence_number", sequence_++}};
    for (auto& [key, value] : fields) event.insert_or_assign(key, std::move(value));
    out += base::cat("event: ", type, "\ndata: ", json::serialize(event), "\n\n");
  }

  Envelope envelope_;
  ResponsesOptions options_;
  const text::Tokenizer* tokenizer_;
  json::array items_;  // that are complete
  Item open_ = Item::none;
  std::string id_, text_;  // of the open one
  text::ToolCall call_;    // that is open, or was
  json::array logprobs_;
  std::size_t sequence_ = 0;
  engine::FinishReason reason_ = engine::FinishReason::stop;
};

}  // namespace

std::unique_ptr<Stream> make_responses_stream(std::unique_ptr<Generation> generation, Envelope envelope,
                                              ResponsesOptions options, const text::Tokenizer& tokenizer) {
  return std::make_unique<ResponsesStream>(std::move(generation), std::move(envelope), std::move(options), tokenizer);
}

}  // namespace minke::api
