// HTTP as the rest of the server sees it: plain values, and what a program that answers must be able to do. The sockets
// behind it are http_server's business alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/answer.h"

namespace minke::server {

struct HttpRequest {
  std::string method;                                        ///< "GET"
  std::string path;                                          ///< "/v1/models": as sent, without the query
  std::string query;                                         ///< what followed '?', as sent
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case, in order
  std::string body;                                          ///< empty while only the head is there
  std::string peer;                                          ///< "127.0.0.1:53412"
  std::string id;                                            ///< of this request: set by HttpHandler::admit
  std::string identity;                                      ///< who asks: likewise
  bool secure = false;                                       ///< it came through TLS
  bool patient = false;                                      ///< answered where nobody else waits: it may take seconds

  /// The first of that name; null when there is none.
  const std::string* header(std::string_view lower_case_name) const noexcept;
};

/// How an exchange went, for the log and the metrics.
struct HttpRecord {
  int status = 0;  ///< 499: the client went away before the end
  std::uint64_t bytes_out = 0;
  double seconds = 0;
  const api::Stream* stream = nullptr;  ///< null when the answer was complete at once
};

/// What answers. `admit`, `headers` and `finished` are called on the server's thread and return at once; `answer` is
/// called on one of its workers, or on its own thread for a request that is `quick`. Where that would take seconds it
/// throws api::TakesLong, and is called once more, on a thread for such requests alone, the request marked `patient`.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  struct Admission {
    std::optional<api::Response> refusal;  ///< the request is answered with this, unread
    std::size_t max_body = 0;              ///< bytes
    bool quick = false;                    ///< answered at once, not by a worker
  };
  /// The head has been read. Sets request.id and request.identity.
  virtual Admission admit(HttpRequest& request) = 0;
  /// Errors are responses, too; what is thrown nevertheless ends the connection.
  virtual api::Answer answer(const HttpRequest& request, std::function<void()> notify) = 0;
  /// Headers that every response to this request has.
  virtual std::vector<std::pair<std::string, std::string>> headers(const HttpRequest& request) = 0;
  /// The response to a request that cannot be read as HTTP, or is longer than allowed.
  virtual api::Response unreadable(int status, std::string_view why) = 0;
  /// A failure before the response's head went out.
  virtual api::Response failure(const HttpRequest& request, const api::ApiError& error) = 0;
  /// A stream has waited or gone on; told now and then.
  virtual void watched(const api::Stream& stream) = 0;
  virtual void finished(const HttpRequest& request, const HttpRecord& record) = 0;
  /// Each second, on the server's thread.
  virtual void tick() {}
};

struct HttpOptions {
  std::string host = "127.0.0.1";  ///< an address, or a name with one
  std::uint16_t port = 6465;       ///< 0: any free one
  std::string unix_socket;         ///< a path; when given, there is no port
  /// PEM files; when given, all connections are TLS. SIGHUP reads them again (without them it changes nothing).
  std::string tls_certificate, tls_key;
  std::function<void(const std::string&)> on_reload;  ///< told how that went; from the server's thread

  std::size_t max_connections = 16384;
  std::size_t max_header_bytes = std::size_t{32} << 10;
  std::size_t max_bodies_bytes = std::size_t{512} << 20;  ///< of all requests that are being read or answered
  std::size_t workers = 2;                                ///< threads that read requests and encode prompts
  std::chrono::milliseconds header_time{10'000};          ///< from a request's first byte to the end of its head
  std::chrono::milliseconds body_time{60'000};
  std::chrono::milliseconds idle_time{75'000};   ///< between two requests of a connection
  std::chrono::milliseconds write_time{60'000};  ///< for a client to take what is sent
  std::chrono::milliseconds keep_alive{5'000};   ///< the longest silence within a response
  std::chrono::milliseconds quiet_start{500};    ///< a response that is not a stream gets its length if it takes less
  std::chrono::milliseconds drain_time{30'000};  ///< what runs when the server is told to stop may take so long
};

}  // namespace minke::server
