// What a route answers with: a response that is complete, or a reply that is still being computed.
#pragma once

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
};

using Answer = std::variant<Response, std::unique_ptr<Stream>>;

/// Thrown in place of an answer that would take seconds (a grammar that is not compiled yet), where the request cannot
/// wait so long: it is to be asked again where it can.
struct TakesLong {};

}  // namespace minke::api
