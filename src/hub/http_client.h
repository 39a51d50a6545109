// HTTP/1.1 GETs over Beast's parser: redirects, ranges, limits. One connection per request.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hub/connection.h"
#include "hub/url.h"

namespace minke::hub {

/// Of a reply: everything but its body.
struct HttpHead {
  Url url;  ///< that gave it
  unsigned status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case

  /// The first field of that name (lower case), or an empty text.
  std::string_view field(std::string_view name) const noexcept;
  /// Content-Length; nullopt when there is none.
  std::optional<std::uint64_t> length() const noexcept;
};

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t size = 0;  ///< > 0
};

struct HttpRequest {
  Url url;
  std::string token;  ///< sent as "Bearer" to `url`'s origin alone, whatever it redirects to
  std::optional<ByteRange> range;
  std::string accept = "*/*";
  std::uint64_t max_body = 0;  ///< a longer one is an error
};

struct HttpReply {
  HttpHead head;
  std::vector<HttpHead> redirects;  ///< that led there, in order
};

class HttpClient {
 public:
  explicit HttpClient(NetworkOptions options);
  ~HttpClient();

  /// Whether the body is wanted; what it throws ends the request. The last head comes with those that led to it.
  using OnHead = std::function<bool(const HttpReply&)>;
  using OnBody = std::function<void(std::span<const std::byte>)>;

  /// Follows at most 8 redirects, never from https to http. Errors: TransportError (also for a body that ends before
  /// its length), Error(format) for what is no HTTP, has a head above 64 KiB or a body above `max_body`, and those
  /// of connect(). Any thread may call.
  HttpReply get(const HttpRequest& request, const OnHead& on_head, const OnBody& on_body) const;

  /// The body as text.
  std::pair<HttpReply, std::string> get_text(const HttpRequest& request) const;

  const NetworkOptions& options() const noexcept { return options_; }

 private:
  HttpHead get_once(const HttpRequest& request, const Url& url, std::vector<HttpHead>& redirects, const OnHead& on_head,
                    const OnBody& on_body) const;
  const TlsContext& tls() const;

  struct Lazy;
  NetworkOptions options_;
  std::unique_ptr<Lazy> lazy_;  // root certificates are read when the first https address is asked
};

/// A reply's head as parsed; for fuzzing. Feeds `bytes` as a server's whole answer.
HttpHead parse_reply(std::string_view bytes, std::uint64_t max_body, const HttpClient::OnBody& on_body);

}  // namespace minke::hub
