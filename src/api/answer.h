// What a route answers with: a response that is complete, or a reply that is still being computed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/api_error.h"
#include "api/generation.h"

namespace minke::api {

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  ///< besides content type and length
};

/// Bytes of a body as they become available. One thread uses it. Destroying it cancels what still runs.
class Stream {
 public:
  enum class State {
    waiting,  ///< nothing more for now: ask again after a notification
    more,     ///< ask again at once
    done,     ///< the body is complete
    broken,   ///< error() says why; what has gone out so far must not look complete
  };

  virtual ~Stream() = default;
  /// Events (or lines) as they come; else one JSON document, all of it together with `done`.
  virtual bool is_events() const noexcept = 0;
  virtual std::string_view content_type() const noexcept {
    return is_events() ? "text/event-stream; charset=utf-8" : "application/json";
  }
  /// Appends what is there. Never waits.
  virtual State poll(std::string& out) = 0;
  /// Appends something that clients skip, to show that the connection lives.
  virtual void keep_alive(std::string& out) const = 0;
  virtual const std::optional<ApiError>& error() const noexcept = 0;
  virtual const Spent& spent() const noexcept = 0;
  virtual double estimated_wait() const noexcept = 0;
  /// Under which the rest can be had after its connection is gone; empty: it cannot.
  virtual std::string_view resume_id() const noexcept { return {}; }
  /// The response's head is held back for a moment: what ends until then is answered with its own status.
  virtual bool holds_head() const noexcept { return !is_events(); }
  /// Of the model that replies; empty while there is none.
  virtual std::string_view model() const noexcept { return {}; }
  /// What was done otherwise than asked, for the access log; may be empty.
  virtual std::string_view warning() const noexcept { return {}; }
};

/// One that is another's, with something beside it. Whoever derives from it and has what the other needs ends that
/// before (end()).
class WrappedStream : public Stream {
 public:
  explicit WrappedStream(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  bool is_events() const noexcept override { return stream_->is_events(); }
  std::string_view content_type() const noexcept override { return stream_->content_type(); }
  State poll(std::string& out) override { return stream_->poll(out); }
  void keep_alive(std::string& out) const override { stream_->keep_alive(out); }
  const std::optional<ApiError>& error() const noexcept override { return stream_->error(); }
  const Spent& spent() const noexcept override { return stream_->spent(); }
  double estimated_wait() const noexcept override { return stream_->estimated_wait(); }
  bool holds_head() const noexcept override { return stream_->holds_head(); }
  std::string_view model() const noexcept override { return stream_->model(); }
  std::string_view warning() const noexcept override { return stream_->warning(); }
  std::string_view resume_id() const noexcept override { return stream_->resume_id(); }

 protected:
  void end() noexcept { stream_.reset(); }

 private:
  std::unique_ptr<Stream> stream_;
};

using Answer = std::variant<Response, std::unique_ptr<Stream>>;

/// Thrown in place of an answer that would take seconds (a grammar that is not compiled yet), where the request cannot
/// wait so long: it is to be asked again where it can.
struct TakesLong {};

/// Thrown in place of an answer of a model that is not loaded: the request is whole as far as that can be told without
/// the model. make_loading_stream (loading_stream.h) waits for it.
struct ModelAbsent {
  std::string name;                              ///< a ModelPool's
  bool events = false;                           ///< the answer is a stream of events or lines
  std::optional<std::chrono::nanoseconds> idle;  ///< how long the model is to stay, if the request says
  std::string piece;                             ///< what shows that the connection lives, where that is no comment
  /// What a stream of events says of a failure; may be empty.
  std::function<std::string(const ApiError&)> failed;
};

}  // namespace minke::api
