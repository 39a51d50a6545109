#include "api/ollama_stream.h"

#include <ctime>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "api/json_text.h"
#include "api/reply_stream.h"
#include "base/cat.h"

namespace minke::api {
namespace {

namespace json = boost::json;

json::object head_of(std::string_view model) {
  return {{"model", json_bytes(model)}, {"created_at", json_text(ollama_time(std::time(nullptr)))}};
}

void add_text(OllamaKind kind, std::string_view content, std::string_view thinking, const std::vector<CallDelta>& calls,
              json::object& out) {
  if (kind == OllamaKind::generate) {
    out["response"] = json_text(content);
    if (!thinking.empty()) out["thinking"] = json_text(thinking);
    return;
  }
  json::object message{{"role", "assistant"}, {"content", json_text(content)}};
  if (!thinking.empty()) message["thinking"] = json_text(thinking);
  json::array list;
  for (const text::ToolCall& call : joined_calls(calls)) {
    list.emplace_back(json::object{
        {"function", json::object{{"name", json_bytes(call.name)}, {"arguments", arguments_json(call.arguments)}}}});
  }
  if (!list.empty()) message["tool_calls"] = std::move(list);
  out["message"] = std::move(message);
}

class OllamaStream final : public ReplyStream {
 public:
  OllamaStream(std::unique_ptr<Generation> generation, OllamaKind kind, std::string model, bool lines,
               double load_seconds)
      : ReplyStream(std::move(generation), lines), kind_(kind), model_(std::move(model)), load_seconds_(load_seconds) {}

  std::string_view content_type() const noexcept override {
    return is_events() ? "application/x-ndjson" : "application/json";
  }

  /// Its clients take every line for JSON: a piece of nothing is what they skip.
  void keep_alive(std::string& out) const override {
    if (is_events()) {
      append({}, {}, {}, out);
    } else {
      out += "\n";
    }
  }

 private:
  void take(Generation::Piece&& piece, std::string& out) override {
    if (piece.end) reason_ = *piece.end;
    bool ended = false;
    for (CallDelta& call : piece.delta.calls) {
      ended = ended || call.ended;
      calls_.push_back(std::move(call));
    }
    if (is_events()) {
      if (!piece.delta.content.empty() || !piece.delta.reasoning.empty()) {
        append(piece.delta.content, piece.delta.reasoning, {}, out);
      }
      if (ended) append({}, {}, std::exchange(calls_, {}), out);  // its clients take calls whole
      return;
    }
    content_ += piece.delta.content;
    thinking_ += piece.delta.reasoning;
  }

  void complete(std::string& out) override {
    const Spent& spent = this->spent();
    json::object last = head_of(model_);
    add_text(kind_, content_, thinking_, calls_, last);
    last["done"] = true;
    last["done_reason"] = reason_ == engine::FinishReason::stop ? "stop" : "length";
    const double reply_seconds = spent.queue_seconds + spent.prefill_seconds + spent.decode_seconds;
    last["total_duration"] = ollama_duration(load_seconds_ + reply_seconds);
    last["load_duration"] = ollama_duration(load_seconds_);
    last["prompt_eval_count"] = spent.prompt_tokens;
    last["prompt_eval_duration"] = ollama_duration(spent.prefill_seconds);
    last["eval_count"] = spent.output_tokens;
    last["eval_duration"] = ollama_duration(spent.decode_seconds);
    out += json::serialize(last);
    if (is_events()) out += "\n";
  }

  void fail(const ApiError& error, std::string& out) override {
    if (is_events()) out += base::cat(error.body(Dialect::ollama), "\n");
  }

  void append(std::string_view content, std::string_view thinking, const std::vector<CallDelta>& calls,
              std::string& out) const {
    json::object line = head_of(model_);
    add_text(kind_, content, thinking, calls, line);
    line["done"] = false;
    out += base::cat(json::serialize(line), "\n");
  }

  OllamaKind kind_;
  std::string model_;
  double load_seconds_;
  std::string content_, thinking_;  // of a reply that is not sent in lines
  std::vector<CallDelta> calls_;    // in lines: of the call that has not ended
  engine::FinishReason reason_ = engine::FinishReason::stop;
};

}  // namespace

std::unique_ptr<Stream> make_ollama_stream(std::unique_ptr<Generation> generation, OllamaKind kind, std::string model,
                                           bool lines, double load_seconds) {
  return std::make_unique<OllamaStream>(std::move(generation), kind, std::move(model), lines, load_seconds);
}

std::string ollama_piece(OllamaKind kind, std::string_view model) {
  json::object line = head_of(model);
  add_text(kind, {}, {}, {}, line);
  line["done"] = false;
  return base::cat(json::serialize(line), "\n");
}

json::object ollama_empty(OllamaKind kind, std::string_view model, std::string_view reason) {
  json::object body = head_of(model);
  add_text(kind, {}, {}, {}, body);
  body["done"] = true;
  body["done_reason"] = json_text(reason);
  return body;
}

std::int64_t ollama_duration(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

std::string ollama_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm t{};
  ::gmtime_r(&time, &t);
  const auto two = [](int n) { return base::cat(n < 10 ? "0" : "", n); };
  return base::cat(t.tm_year + 1900, "-", two(t.tm_mon + 1), "-", two(t.tm_mday), "T", two(t.tm_hour), ":",
                   two(t.tm_min), ":", two(t.tm_sec), "Z");
}

}  // namespace minke::api
