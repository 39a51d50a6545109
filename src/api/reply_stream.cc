#include "api/reply_stream.h"

#include <exception>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "base/cat.h"

namespace minke::api {
namespace {

namespace json = boost::json;

// Of one poll, so that a client with much to catch up on does not keep the others waiting.
constexpr std::size_t kPollBytes = std::size_t{32} << 10;

void append_event(const json::object& data, std::string& out) {
  out += "data: ";
  out += json::serialize(data);
  out += "\n\n";
}

/// Server-sent events. Where the usage goes differs: OpenAI's comes in a chunk of its own, when asked for; DeepSeek's
/// on the last choice's last chunk, always. In both, a client that asked for it finds "usage": null elsewhere.
class EventStream final : public ReplyStream {
 public:
  EventStream(std::unique_ptr<Generation> generation, std::unique_ptr<ReplyFormat> format, const StreamOptions& options)
      : ReplyStream(std::move(generation), true),
        format_(std::move(format)),
        options_(options),
        opened_(this->generation().choices(), false) {}

  /// A comment, which clients skip; it says what is waited for to who looks.
  void keep_alive(std::string& out) const override {
    const std::string what = generation().waiting_for();
    out += what.empty() ? std::string(": keep-alive\n\n") : base::cat(": keep-alive, ", what, "\n\n");
  }

 private:
  void take(Generation::Piece&& piece, std::string& out) override {
    if (!opened_[piece.choice]) {
      opened_[piece.choice] = true;
      if (auto chunk = format_->opening(piece.choice)) send(std::move(*chunk), out);
    }
    // One piece of a call a chunk, as OpenAI sends them.
    const std::vector<CallDelta> calls = std::exchange(piece.delta.calls, {});
    if (!piece.delta.empty()) send(format_->chunk(piece.choice, piece.delta), out);
    for (const CallDelta& call : calls) {
      if (!call.ended) send(format_->call_chunk(piece.choice, call), out);
    }
    if (!piece.end) return;
    json::object ending = format_->ending(piece.choice, *piece.end);
    if (options_.dialect == Dialect::deepseek && generation().finished()) {
      add_usage(ending);
      append_event(ending, out);
      return;
    }
    // llama.cpp's place for them.
    if (generation().finished() && !options_.include_usage) ending["timings"] = timings_json(generation().spent());
    send(std::move(ending), out);
  }

  /// llama.cpp's "prompt_progress"; the place in the queue beside it.
  void rest(std::string& out) override {
    if (!options_.progress) return;
    json::object chunk;
    if (const auto& queued = generation().queued()) {
      if (queued->position == told_position_) return;
      told_position_ = queued->position;
      chunk["queue"] = json::object{{"position", queued->position}, {"estimated_seconds", queued->estimated_wait}};
    } else if (const auto& prefill = generation().prefill()) {
      if (prefill->done == told_done_) return;
      told_done_ = prefill->done;
      chunk["prompt_progress"] =
          json::object{{"total", prefill->total}, {"cache", prefill->cached}, {"processed", prefill->done}};
    } else {
      return;
    }
    json::object whole = format_->without_choices();
    for (auto& [key, value] : chunk) whole[key] = std::move(value);
    append_event(whole, out);
  }

  void complete(std::string& out) override {
    if (options_.dialect == Dialect::openai && options_.include_usage) {
      json::object chunk = format_->without_choices();
      add_usage(chunk);
      append_event(chunk, out);
    }
    out += "data: [DONE]\n\n";
  }

  /// Clients raise what comes under "error"; the connection then ends without the stream's end.
  void fail(const ApiError& error, std::string& out) override {
    out += base::cat("data: ", error.body(options_.dialect), "\n\n");
  }

  void send(json::object chunk, std::string& out) const {
    if (options_.include_usage) chunk["usage"] = nullptr;
    append_event(chunk, out);
  }

  void add_usage(json::object& chunk) const {
    chunk["usage"] = usage_json(generation().spent());
    chunk["timings"] = timings_json(generation().spent());
  }

  std::unique_ptr<ReplyFormat> format_;
  StreamOptions options_;
  std::vector<bool> opened_;
  std::size_t told_position_ = 0, told_done_ = 0;
};

void append(TextDelta&& from, TextDelta& to) {
  to.reasoning += from.reasoning;
  to.content += from.content;
  for (auto& call : from.calls) to.calls.push_back(std::move(call));
  for (auto& token : from.reasoning_tokens) to.reasoning_tokens.push_back(std::move(token));
  for (auto& token : from.content_tokens) to.content_tokens.push_back(std::move(token));
}

/// One document, when everything is there.
class WholeReply final : public ReplyStream {
 public:
  WholeReply(std::unique_ptr<Generation> generation, std::unique_ptr<ReplyFormat> format)
      : ReplyStream(std::move(generation), false), format_(std::move(format)), choices_(this->generation().choices()) {}

  /// JSON may begin with empty lines.
  void keep_alive(std::string& out) const override { out += "\n"; }

 private:
  void take(Generation::Piece&& piece, std::string& /*out*/) override {
    ReplyFormat::Choice& choice = choices_[piece.choice];
    append(std::move(piece.delta), choice.text);
    if (piece.end) choice.reason = *piece.end;
  }

  void complete(std::string& out) override {
    json::object body = format_->whole(choices_);
    body["usage"] = usage_json(generation().spent());
    body["timings"] = timings_json(generation().spent());
    out += json::serialize(body);
  }

  std::unique_ptr<ReplyFormat> format_;
  std::vector<ReplyFormat::Choice> choices_;
};

}  // namespace

Stream::State ReplyStream::poll(std::string& out) {
  if (error_) return State::broken;
  try {
    if (!begun_) begin(out);
    begun_ = true;
    for (;;) {
      std::optional<Generation::Piece> piece = generation_->next();
      if (!piece) break;
      take(std::move(*piece), out);
      if (generation_->finished()) {
        complete(out);
        return State::done;
      }
      if (out.size() >= kPollBytes) return State::more;
    }
    rest(out);
    return State::waiting;
  } catch (const ApiError& error) {
    return end_broken(error, out);
  } catch (const std::exception& error) {  // out of memory, or a mistake of ours: this reply ends, the server does not
    return end_broken(ApiError(Fault::internal, base::cat("internal error: ", error.what())), out);
  }
}

Stream::State ReplyStream::end_broken(ApiError error, std::string& out) {
  fail(error, out);
  error_ = std::move(error);
  return State::broken;
}

std::unique_ptr<Stream> make_reply_stream(std::unique_ptr<Generation> generation, std::unique_ptr<ReplyFormat> format,
                                          const StreamOptions& options) {
  if (options.events) return std::make_unique<EventStream>(std::move(generation), std::move(format), options);
  return std::make_unique<WholeReply>(std::move(generation), std::move(format));
}

}  // namespace minke::api
