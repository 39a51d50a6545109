#include "api/messages_stream.h"

#include <optional>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/json_text.h"
#include "api/reply_stream.h"
#include "base/cat.h"

namespace minke::api {
namespace {

namespace json = boost::json;

/// Cached tokens are told apart: input_tokens are those that were computed.
json::object usage_of(const Spent& spent) {
  return {{"input_tokens", spent.prompt_tokens - spent.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", spent.cached_tokens},
          {"output_tokens", spent.output_tokens}};
}

struct Ending {
  json::value reason, sequence;
};

Ending ending_of(const Generation::Piece& piece, bool called) {
  if (called && *piece.end == engine::FinishReason::stop && !piece.stop) return {"tool_use", nullptr};
  if (piece.stop) return {"stop_sequence", json_text(*piece.stop)};
  const bool whole = piece.end.value_or(engine::FinishReason::stop) == engine::FinishReason::stop;
  return {whole ? "end_turn" : "max_tokens", nullptr};
}

json::object message_json(const Envelope& envelope, json::array content, const Ending& ending, json::object usage) {
  return {{"id", json_text(envelope.id)},
          {"type", "message"},
          {"role", "assistant"},
          {"model", json_bytes(envelope.model)},
          {"content", std::move(content)},
          {"stop_reason", ending.reason},
          {"stop_sequence", ending.sequence},
          {"usage", std::move(usage)}};
}

/// A thinking block's signature proves to Anthropic that the model wrote it. Here nobody asks for proof.
json::object thinking_block(std::string_view thinking) {
  return {{"type", "thinking"}, {"thinking", json_text(thinking)}, {"signature", ""}};
}

json::object call_block(std::string_view id, std::string_view name, json::object input) {
  return {{"type", "tool_use"}, {"id", json_text(id)}, {"name", json_bytes(name)}, {"input", std::move(input)}};
}

json::object text_block(std::string_view text) { return {{"type", "text"}, {"text", json_text(text)}}; }

class MessageEvents final : public ReplyStream {
 public:
  MessageEvents(std::unique_ptr<Generation> generation, Envelope envelope)
      : ReplyStream(std::move(generation), true), envelope_(std::move(envelope)) {}

  void keep_alive(std::string& out) const override { append("ping", {}, out); }

 private:
  enum class Block { none, thinking, text, call };

  /// Said at once, so that a client knows its message is in work.
  void begin(std::string& out) override {
    append("message_start", {{"message", message_json(envelope_, {}, {nullptr, nullptr}, usage_of(spent()))}}, out);
  }

  void take(Generation::Piece&& piece, std::string& out) override {
    if (!piece.delta.reasoning.empty()) {
      delta(Block::thinking, {{"type", "thinking_delta"}, {"thinking", json_text(piece.delta.reasoning)}}, out);
    }
    if (!piece.delta.content.empty()) {
      delta(Block::text, {{"type", "text_delta"}, {"text", json_text(piece.delta.content)}}, out);
    }
    for (const CallDelta& call : piece.delta.calls) take_call(call, out);
    if (piece.end) ending_ = ending_of(piece, called_);
  }

  void take_call(const CallDelta& call, std::string& out) {
    called_ = true;
    if (call.begins()) {
      open(Block::none, out);
      open_ = Block::call;
      append("content_block_start", {{"index", index_}, {"content_block", call_block(call.id, call.name, {})}}, out);
    }
    if (!call.arguments.empty()) {
      delta(Block::call, {{"type", "input_json_delta"}, {"partial_json", json_bytes(call.arguments)}}, out);
    }
    if (call.ended) open(Block::none, out);
  }

  void complete(std::string& out) override {
    open(Block::none, out);
    append("message_delta",
           {{"delta", json::object{{"stop_reason", ending_.reason}, {"stop_sequence", ending_.sequence}}},
            {"usage", usage_of(spent())}},
           out);
    append("message_stop", {}, out);
  }

  void fail(const ApiError& error, std::string& out) override {
    out += base::cat("event: error\ndata: ", error.body(Dialect::anthropic), "\n\n");
  }

  void delta(Block block, json::object fields, std::string& out) {
    open(block, out);
    append("content_block_delta", {{"index", index_}, {"delta", std::move(fields)}}, out);
  }

  /// Ends the open block if it is another one, and begins this one.
  void open(Block block, std::string& out) {
    if (block == open_) return;
    if (open_ != Block::none) {
      append("content_block_stop", {{"index", index_}}, out);
      ++index_;
    }
    open_ = block;
    if (block == Block::none) return;
    append("content_block_start",
           {{"index", index_}, {"content_block", block == Block::thinking ? thinking_block("") : text_block("")}}, out);
  }

  static void append(std::string_view type, json::object&& fields, std::string& out) {
    json::object event{{"type", json_text(type)}};
    for (auto& [key, value] : fields) event.insert_or_assign(key, std::move(value));
    out += base::cat("event: ", type, "\ndata: ", json::serialize(event), "\n\n");
  }

  Envelope envelope_;
  Block open_ = Block::none;
  std::size_t index_ = 0;
  bool called_ = false;
  Ending ending_;
};

class WholeMessage final : public ReplyStream {
 public:
  WholeMessage(std::unique_ptr<Generation> generation, Envelope envelope)
      : ReplyStream(std::move(generation), false), envelope_(std::move(envelope)) {}

  void keep_alive(std::string& out) const override { out += "\n"; }

 private:
  void take(Generation::Piece&& piece, std::string& /*out*/) override {
    thinking_ += piece.delta.reasoning;
    text_ += piece.delta.content;
    for (CallDelta& call : piece.delta.calls) calls_.push_back(std::move(call));
    if (piece.end) ending_ = ending_of(piece, !calls_.empty());
  }

  void complete(std::string& out) override {
    json::array content;
    if (!thinking_.empty()) content.emplace_back(thinking_block(thinking_));
    if (!text_.empty() || (thinking_.empty() && calls_.empty())) content.emplace_back(text_block(text_));
    for (const text::ToolCall& call : joined_calls(calls_)) {
      content.emplace_back(call_block(call.id, call.name, arguments_json(call.arguments)));
    }
    out += json::serialize(message_json(envelope_, std::move(content), ending_, usage_of(spent())));
  }

  Envelope envelope_;
  std::string thinking_, text_;
  std::vector<CallDelta> calls_;
  Ending ending_;
};

}  // namespace

std::unique_ptr<Stream> make_messages_stream(std::unique_ptr<Generation> generation, Envelope envelope, bool events) {
  if (events) return std::make_unique<MessageEvents>(std::move(generation), std::move(envelope));
  return std::make_unique<WholeMessage>(std::move(generation), std::move(envelope));
}

}  // namespace minke::api
