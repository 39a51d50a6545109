// A connection to a server: a socket, with TLS where the address says so, through a proxy where one is set. It never
// blocks longer than its time limits, and looks every tenth of a second whether it is still wanted.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "hub/url.h"

namespace minke::hub {

/// The way to the server failed (no such host, refused, dropped, silent): another attempt may go well.
class TransportError : public base::Error {
 public:
  explicit TransportError(std::string message, std::string hint = {})
      : base::Error(base::ErrorCode::io, std::move(message), std::move(hint)) {}
};

struct NetworkOptions {
  std::string https_proxy;  ///< an http:// address, or empty
  std::string http_proxy;
  std::string no_proxy;                      ///< hosts reached without: "localhost,.example.org,10.0.0.1:8080", or "*"
  std::string ca_file;                       ///< root certificates, instead of the system's
  std::chrono::milliseconds connect{20000};  ///< to reach a server, TLS included
  std::chrono::milliseconds idle{30000};     ///< without a byte
  std::function<bool()> cancelled;           ///< any thread; may be empty
};

/// OpenSSL's settings and root certificates, read once. Any thread may use it.
class TlsContext {
 public:
  /// Error(io) when there are no root certificates.
  explicit TlsContext(const std::string& ca_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  void* handle() const noexcept { return context_; }  ///< an SSL_CTX*

 private:
  void* context_ = nullptr;
};

class Connection {
 public:
  virtual ~Connection() = default;
  /// At least one byte, or 0 when the other side has closed. Errors: TransportError, Error(cancelled).
  virtual std::size_t read_some(std::span<std::byte> out) = 0;
  virtual void write(std::string_view bytes) = 0;
};

/// The proxy for an address, or an empty text.
std::string proxy_for(const Url& url, const NetworkOptions& options);

/// Connects. `tls` may be null for http. Through a proxy, https is tunnelled (CONNECT); a plain request is sent to the
/// proxy itself, so its first line needs the whole address. Errors: TransportError; Error(io) when the server's
/// certificate is not good; invalid_argument for a proxy that is not http://.
std::unique_ptr<Connection> connect(const Url& url, const NetworkOptions& options, const TlsContext* tls);

/// "Basic ..." of a proxy's "user:password".
std::string basic_authorization(std::string_view user);

}  // namespace minke::hub
