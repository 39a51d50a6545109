#include "hub/connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

namespace minke::hub {

using base::cat;
using base::Error;
using base::ErrorCode;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr std::size_t kMaxProxyReply = 8192;

std::string reason_of(int number) { return std::generic_category().message(number); }

class Socket {
 public:
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Waits until the socket is ready. `peer` is for messages.
void wait_for(int fd, short events, Clock::time_point deadline, const NetworkOptions& options, std::string_view peer) {
  for (;;) {
    if (options.cancelled && options.cancelled()) throw Error(ErrorCode::cancelled, "stopped");
    const auto now = Clock::now();
    if (now >= deadline) throw TransportError(cat(peer, ": no answer in time"));
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now) + std::chrono::milliseconds(1);
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left.count(), kTick.count())));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) throw TransportError(cat(peer, ": ", reason_of(errno)));
  }
}

class PlainConnection final : public Connection {
 public:
  PlainConnection(Socket socket, NetworkOptions options, std::string peer)
      : socket_(std::move(socket)), options_(std::move(options)), peer_(std::move(peer)) {}

  std::size_t read_some(std::span<std::byte> out) override {
    const auto deadline = Clock::now() + options_.idle;
    for (;;) {
      const ssize_t count = ::recv(socket_.fd(), out.data(), out.size(), 0);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        throw TransportError(cat(peer_, ": ", reason_of(errno)));
      wait_for(socket_.fd(), POLLIN, deadline, options_, peer_);
    }
  }

  void write(std::string_view bytes) override {
    const auto deadline = Clock::now() + options_.idle;
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
        continue;
      }
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        throw TransportError(cat(peer_, ": ", reason_of(errno)));
      wait_for(socket_.fd(), POLLOUT, deadline, options_, peer_);
    }
  }

 private:
  friend class TlsConnection;
  Socket socket_;
  NetworkOptions options_;
  std::string peer_;
};

std::string tls_reason() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "the connection was closed";
  const char* text = ::ERR_reason_error_string(code);
  return text == nullptr ? cat("error ", code) : std::string(text);
}

/// TLS over a plain connection's socket. A write to a closed socket raises SIGPIPE, which the program ignores.
class TlsConnection final : public Connection {
 public:
  TlsConnection(std::unique_ptr<PlainConnection> plain, const Url& url, const TlsContext& context)
      : plain_(std::move(plain)), ssl_(::SSL_new(static_cast<SSL_CTX*>(context.handle()))) {
    if (ssl_ == nullptr) throw std::bad_alloc();
    try {
      start(url);
    } catch (...) {
      ::SSL_free(ssl_);
      throw;
    }
  }
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;
  ~TlsConnection() override { ::SSL_free(ssl_); }

  std::size_t read_some(std::span<std::byte> out) override {
    const auto deadline = Clock::now() + plain_->options_.idle;
    for (;;) {
      std::size_t count = 0;
      ::ERR_clear_error();
      const int result = ::SSL_read_ex(ssl_, out.data(), out.size(), &count);
      if (result == 1) return count;
      // Many servers close without saying so; HTTP's own lengths tell whether something is missing.
      if (!wanted(result, deadline, /*closed_is_end=*/true)) return 0;
    }
  }

  void write(std::string_view bytes) override {
    const auto deadline = Clock::now() + plain_->options_.idle;
    while (!bytes.empty()) {
      std::size_t count = 0;
      ::ERR_clear_error();
      const int result = ::SSL_write_ex(ssl_, bytes.data(), bytes.size(), &count);
      if (result == 1) {
        bytes.remove_prefix(count);
      } else {
        wanted(result, deadline, /*closed_is_end=*/false);
      }
    }
  }

 private:
  void start(const Url& url) {
    ::SSL_set_fd(ssl_, plain_->socket_.fd());
    X509_VERIFY_PARAM* parameters = ::SSL_get0_param(ssl_);
    if (::X509_VERIFY_PARAM_set1_ip_asc(parameters, url.host.c_str()) != 1) {
      ::ERR_clear_error();
      // What SSL_set_tlsext_host_name is, but for its cast. It only reads the name.
      char* name = const_cast<char*>(url.host.c_str());
      if (::SSL_set1_host(ssl_, name) != 1 ||
          ::SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) != 1)
        throw Error(ErrorCode::io, cat(url.authority(), ": TLS: ", tls_reason()));
    }
    const auto deadline = Clock::now() + plain_->options_.connect;
    for (;;) {
      ::ERR_clear_error();
      const int result = ::SSL_connect(ssl_);
      if (result == 1) return;
      if (const long verdict = ::SSL_get_verify_result(ssl_); verdict != X509_V_OK) {
        throw Error(ErrorCode::io,
                    cat(url.authority(), ": its certificate is not good: ", ::X509_verify_cert_error_string(verdict)),
                    "a proxy that opens TLS needs its root certificate: SSL_CERT_FILE=FILE. Is the clock right?");
      }
      wanted(result, deadline, /*closed_is_end=*/false);
    }
  }

  /// Waits for what OpenSSL wants. False: the other side has closed.
  bool wanted(int result, Clock::time_point deadline, bool closed_is_end) {
    const int error = ::SSL_get_error(ssl_, result);
    const int fd = plain_->socket_.fd();
    switch (error) {
      case SSL_ERROR_WANT_READ:
        wait_for(fd, POLLIN, deadline, plain_->options_, plain_->peer_);
        return true;
      case SSL_ERROR_WANT_WRITE:
        wait_for(fd, POLLOUT, deadline, plain_->options_, plain_->peer_);
        return true;
      case SSL_ERROR_ZERO_RETURN:
        if (closed_is_end) return false;
        break;
      default:
        if (closed_is_end && ERR_GET_REASON(::ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
          ::ERR_clear_error();
          return false;
        }
        break;
    }
    throw TransportError(cat(plain_->peer_, ": TLS: ", tls_reason()));
  }

  std::unique_ptr<PlainConnection> plain_;
  SSL* ssl_;
};

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

std::unique_ptr<addrinfo, FreeAddresses> look_up(const std::string& host, std::uint16_t port, std::string_view peer) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int result = ::getaddrinfo(host.c_str(), cat(port).c_str(), &hints, &found);
  if (result != 0)
    throw TransportError(cat(peer, ": ", result == EAI_SYSTEM ? reason_of(errno) : std::string(::gai_strerror(result))),
                         "is the network there? HTTPS_PROXY=http://HOST:PORT sets a proxy");
  return std::unique_ptr<addrinfo, FreeAddresses>(found);
}

/// Connected within `deadline`, or the error's number.
int connect_one(const Socket& socket, const addrinfo& address, Clock::time_point deadline,
                const NetworkOptions& options, std::string_view peer) {
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  try {
    wait_for(socket.fd(), POLLOUT, deadline, options, peer);
  } catch (const TransportError&) {
    return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

std::unique_ptr<PlainConnection> dial(const std::string& host, std::uint16_t port, const std::string& peer,
                                      const NetworkOptions& options) {
  const auto addresses = look_up(host, port, peer);
  std::size_t left = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) ++left;
  const auto end = Clock::now() + options.connect;
  int error = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next, --left) {
    Socket socket(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
    if (socket.fd() < 0) {
      error = errno;
      continue;
    }
    // The first address of many may be a silent one: each has its part of the time.
    const auto part = (end - Clock::now()) / static_cast<std::int64_t>(left);
    error = connect_one(socket, *at, Clock::now() + part, options, peer);
    if (error != 0) continue;
    const int one = 1;
    ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return std::make_unique<PlainConnection>(std::move(socket), options, peer);
  }
  throw TransportError(cat("cannot reach ", peer, ": ", reason_of(error)),
                       "is the network there? HTTPS_PROXY=http://HOST:PORT sets a proxy, HF_ENDPOINT a mirror");
}

/// Asks the proxy for a way to `url`'s host.
void open_tunnel(Connection& proxy, const Url& url, const Url& proxy_url) {
  const std::string host = url.host.find(':') == std::string::npos ? url.host : cat("[", url.host, "]");
  const std::string peer = cat(host, ":", url.port);
  std::string request = cat("CONNECT ", peer, " HTTP/1.1\r\nHost: ", peer, "\r\n");
  if (!proxy_url.user.empty()) request += cat("Proxy-Authorization: ", basic_authorization(proxy_url.user), "\r\n");
  proxy.write(request + "\r\n");
  std::string reply;
  // Byte by byte: what follows the empty line belongs to TLS.
  while (!reply.ends_with("\r\n\r\n")) {
    std::byte next{};
    if (reply.size() >= kMaxProxyReply || proxy.read_some(std::span(&next, 1)) == 0)
      throw TransportError(cat("proxy ", proxy_url.authority(), ": broke off its answer to CONNECT"));
    reply.push_back(static_cast<char>(next));
  }
  const bool http = reply.starts_with("HTTP/1.0 ") || reply.starts_with("HTTP/1.1 ");
  constexpr std::size_t kStatusAt = 9;
  if (!http || reply.size() < kStatusAt + 3 || reply[kStatusAt] != '2') {
    throw Error(ErrorCode::io,
                cat("proxy ", proxy_url.authority(), ": refused the way to ", peer, ": ",
                    http ? reply.substr(kStatusAt, 3) : std::string("no HTTP")),
                "407 asks for a user: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT");
  }
}

/// Root certificates where distributions keep them; a program linked on one of them may run on another.
constexpr std::array kRootFiles = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                   "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                   "/etc/ssl/cert.pem"};

void load_roots(SSL_CTX* context, const std::string& ca_file) {
  if (!ca_file.empty()) {
    if (::SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) != 1)
      throw Error(ErrorCode::io, cat(ca_file, ": no root certificates could be read: ", tls_reason()));
    return;
  }
  ::SSL_CTX_set_default_verify_paths(context);
  for (const char* file : kRootFiles) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(file, ignored) &&
        ::SSL_CTX_load_verify_locations(context, file, nullptr) == 1) {
      break;
    }
  }
  ::ERR_clear_error();
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// An entry of NO_PROXY: a host with the hosts below it, with or without a leading dot, with or without a port.
bool exempts(std::string_view entry, const Url& url) {
  if (entry == "*") return true;
  const std::string with_port = cat(url.host, ":", url.port);
  const bool has_port = entry.find(':') != std::string_view::npos && url.host.find(':') == std::string::npos;
  const std::string_view host = has_port ? std::string_view(with_port) : std::string_view(url.host);
  if (entry.starts_with("*.")) entry.remove_prefix(1);
  const std::string_view bare = entry.starts_with('.') ? entry.substr(1) : entry;
  return !bare.empty() && (host == bare || (host.size() > bare.size() && host.ends_with(bare) &&
                                            host[host.size() - bare.size() - 1] == '.'));
}

}  // namespace

TlsContext::TlsContext(const std::string& ca_file) {
  SSL_CTX* context = ::SSL_CTX_new(::TLS_client_method());
  if (context == nullptr) throw std::bad_alloc();
  context_ = context;
  try {
    ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    ::SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    load_roots(context, ca_file);
  } catch (...) {
    ::SSL_CTX_free(context);
    throw;
  }
}

TlsContext::~TlsContext() { ::SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

std::string proxy_for(const Url& url, const NetworkOptions& options) {
  std::string_view list = options.no_proxy;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (exempts(trimmed(list.substr(0, comma)), url)) return {};
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return url.tls() ? options.https_proxy : options.http_proxy;
}

std::string basic_authorization(std::string_view user) {
  std::string encoded(4 * ((user.size() + 2) / 3) + 1, '\0');
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                        reinterpret_cast<const unsigned char*>(user.data()), static_cast<int>(user.size()));
  encoded.resize(static_cast<std::size_t>(std::max(size, 0)));
  return "Basic " + encoded;
}

std::unique_ptr<Connection> connect(const Url& url, const NetworkOptions& options, const TlsContext* tls) {
  const std::string proxy_text = proxy_for(url, options);
  std::unique_ptr<PlainConnection> plain;
  if (proxy_text.empty()) {
    plain = dial(url.host, url.port, url.authority(), options);
  } else {
    // "host:port" is how some write it.
    const bool bare = proxy_text.find("://") == std::string::npos;
    const Url proxy = parse_url(bare ? cat("http://", proxy_text) : proxy_text,
                                url.tls() ? "HTTPS_PROXY" : "HTTP_PROXY", UserInfo::taken);
    if (proxy.tls())
      throw Error(ErrorCode::unsupported, cat("proxy ", proxy.authority(), ": a proxy is spoken to by http alone"),
                  "set HTTPS_PROXY to an http:// address: what goes through it to https is encrypted all the same");
    plain = dial(proxy.host, proxy.port, cat("proxy ", proxy.authority()), options);
    if (url.tls()) open_tunnel(*plain, url, proxy);
  }
  if (!url.tls()) return plain;
  if (tls == nullptr) throw Error(ErrorCode::invalid_argument, "https without TLS");
  return std::make_unique<TlsConnection>(std::move(plain), url, *tls);
}

}  // namespace minke::hub
