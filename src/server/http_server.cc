#include "server/http_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <exception>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "server/http_connection.h"
#include "server/tls.h"

namespace minke::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Local = asio::local::stream_protocol;

std::string text_of(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return base::cat(endpoint.address().is_v6() ? base::cat("[", host, "]") : host, ":", endpoint.port());
}

[[noreturn]] void throw_cannot_listen(const std::string& where, const error_code& error) {
  const bool taken = error == asio::error::address_in_use;
  throw base::Error(base::ErrorCode::io, base::cat(where, ": cannot listen: ", error.message()),
                    taken ? "another program listens there; --port chooses another port, 0 any free one" : "");
}

tcp::endpoint resolve(asio::io_context& io, const HttpOptions& options) {
  error_code error;
  const auto address = asio::ip::make_address(options.host, error);
  if (!error) return {address, options.port};
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, base::cat(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) throw_cannot_listen(options.host, error);
  for (const auto& entry : found) {
    if (entry.endpoint().address().is_v4()) return entry.endpoint();
  }
  return found.begin()->endpoint();
}

std::shared_ptr<asio::ssl::context> tls_of(const HttpOptions& options) {
  return options.tls_certificate.empty() ? nullptr : load_tls(options.tls_certificate, options.tls_key);
}

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpOptions& given, HttpHandler& the_handler)
      : options(given),
        wakes(std::make_shared<WakeList>()),
        workers(options.workers),
        patient(1),
        shared{options, the_handler, workers, patient, wakes, tls_of(options)},
        wake_fd(io, ::dup(wakes->fd())),
        signals(io),
        hangups(io),
        drain_timer(io) {
    if (options.unix_socket.empty()) {
      listen_tcp();
    } else {
      listen_local();
    }
  }

  ~Impl() {
    workers.join();
    patient.join();
    if (local) ::unlink(options.unix_socket.c_str());
  }

  void listen_tcp();
  void listen_local();
  template <class Acceptor>
  asio::awaitable<void> accept_from(Acceptor& acceptor);
  template <class Socket>
  void start(Socket socket);
  asio::awaitable<void> watch_wakes();
  asio::awaitable<void> tick();
  void wait_for_signal();
  void wait_for_hangup();
  void stop();
  void cut_all();
  void ended(const std::shared_ptr<HttpConnection>& connection);

  const HttpOptions options;
  std::shared_ptr<WakeList> wakes;
  asio::thread_pool workers, patient;
  HttpShared shared;
  asio::io_context io{1};
  asio::posix::stream_descriptor wake_fd;
  asio::signal_set signals, hangups;
  asio::steady_timer drain_timer;
  std::optional<tcp::acceptor> tcp_acceptor;
  std::optional<Local::acceptor> local;
  std::set<std::shared_ptr<HttpConnection>> connections;
  std::atomic<std::size_t> connection_count{0};
  std::string address;
  std::uint16_t port = 0;
};

void HttpServer::Impl::listen_tcp() {
  const tcp::endpoint endpoint = resolve(io, options);
  tcp::acceptor acceptor(io);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  // A port whose last server's connections are still closing can be used again; one with a listener cannot.
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) throw_cannot_listen(text_of(endpoint), error);
  address = text_of(acceptor.local_endpoint());
  port = acceptor.local_endpoint().port();
  tcp_acceptor.emplace(std::move(acceptor));
}

void HttpServer::Impl::listen_local() {
  const std::string& path = options.unix_socket;
  error_code error;
  Local::socket probe(io);
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) throw base::Error(base::ErrorCode::io, base::cat(path, ": exists, and is no socket"));
    probe.connect(Local::endpoint(path), error);
    if (!error) throw_cannot_listen(path, asio::error::address_in_use);
    ::unlink(path.c_str());  // left by a server that was killed
  }
  Local::acceptor acceptor(io);
  acceptor.open(Local(), error);
  if (!error) acceptor.bind(Local::endpoint(path), error);
  // Before anybody can connect: its owner alone may.
  if (!error && ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) error.assign(errno, boost::system::system_category());
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) throw_cannot_listen(path, error);
  address = path;
  local.emplace(std::move(acceptor));
}

template <class Acceptor>
asio::awaitable<void> HttpServer::Impl::accept_from(Acceptor& acceptor) {
  asio::steady_timer timer(io);
  while (!shared.draining) {
    error_code error;
    auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (shared.draining || error == asio::error::operation_aborted) co_return;
    if (!error) {
      // One too many is closed. So is one that there is no memory for: others can be accepted later.
      try {
        if (connections.size() < options.max_connections) start(std::move(socket));
      } catch (const std::exception&) {
      }
      continue;
    }
    // No more descriptors, most likely: some may be given back.
    timer.expires_after(std::chrono::milliseconds(100));
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

template <class Socket>
void HttpServer::Impl::start(Socket socket) {
  error_code error;
  std::string peer = "unix";
  if constexpr (std::is_same_v<Socket, tcp::socket>) {
    socket.set_option(tcp::no_delay(true), error);
    socket.set_option(asio::socket_base::keep_alive(true), error);
    const tcp::endpoint endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    peer = text_of(endpoint);
  }
  auto connection =
      std::make_shared<HttpConnection>(HttpConnection::Socket(std::move(socket)), std::move(peer), shared);
  connections.insert(connection);
  connection_count.store(connections.size(), std::memory_order_relaxed);
  asio::co_spawn(io, connection->run(), [this, connection](const std::exception_ptr&) { ended(connection); });
}

void HttpServer::Impl::ended(const std::shared_ptr<HttpConnection>& connection) {
  connections.erase(connection);
  connection_count.store(connections.size(), std::memory_order_relaxed);
  if (shared.draining && connections.empty()) io.stop();
}

asio::awaitable<void> HttpServer::Impl::watch_wakes() {
  error_code error;
  while (!error) {
    co_await wake_fd.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, error));
    if (!error) wakes->drain();
  }
}

asio::awaitable<void> HttpServer::Impl::tick() {
  asio::steady_timer timer(io);
  error_code error;
  while (!error) {
    timer.expires_after(std::chrono::seconds(1));
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    try {
      if (!error) shared.handler.tick();
    } catch (const std::exception&) {
      // No memory for it now, then the next time.
    }
  }
}

void HttpServer::Impl::wait_for_signal() {
  signals.async_wait([this](const error_code& error, int /*signal*/) {
    if (error) return;
    stop();
    wait_for_signal();
  });
}

/// A certificate is renewed every few weeks; connections that are open keep the one they began with.
void HttpServer::Impl::wait_for_hangup() {
  hangups.async_wait([this](const error_code& error, int /*signal*/) {
    if (error) return;
    std::string said = shared.tls ? base::cat(options.tls_certificate, ": read again")
                                  : std::string("SIGHUP: there is no certificate to read again, so nothing changes");
    try {
      shared.tls = tls_of(options);
    } catch (const std::exception& failed) {
      said = base::cat("the TLS certificate stays what it was: ", failed.what());
    }
    if (options.on_reload) options.on_reload(said);
    wait_for_hangup();
  });
}

void HttpServer::Impl::stop() {
  if (shared.draining) {
    cut_all();
    return;
  }
  shared.draining = true;
  error_code ignored;
  if (tcp_acceptor) tcp_acceptor->close(ignored);
  if (local) local->close(ignored);
  if (connections.empty()) {
    io.stop();
    return;
  }
  for (const auto& connection : connections) connection->drain();
  drain_timer.expires_after(options.drain_time);
  drain_timer.async_wait([this](const error_code& error) {
    if (!error) cut_all();
  });
}

void HttpServer::Impl::cut_all() {
  for (const auto& connection : connections) connection->cut();
}

HttpServer::HttpServer(const HttpOptions& options, HttpHandler& handler)
    : impl_(std::make_unique<Impl>(options, handler)) {}

HttpServer::~HttpServer() = default;

void HttpServer::run() {
  Impl& impl = *impl_;
  if (impl.tcp_acceptor) asio::co_spawn(impl.io, impl.accept_from(*impl.tcp_acceptor), asio::detached);
  if (impl.local) asio::co_spawn(impl.io, impl.accept_from(*impl.local), asio::detached);
  asio::co_spawn(impl.io, impl.watch_wakes(), asio::detached);
  asio::co_spawn(impl.io, impl.tick(), asio::detached);
  impl.io.run();
  impl.workers.join();
  impl.patient.join();
}

void HttpServer::stop() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->stop(); });
}

void HttpServer::stop_on_signals() {
  impl_->signals.add(SIGTERM);
  impl_->signals.add(SIGINT);
  impl_->wait_for_signal();
  impl_->hangups.add(SIGHUP);
  impl_->wait_for_hangup();
}

std::uint16_t HttpServer::port() const noexcept { return impl_->port; }
std::string HttpServer::address() const { return impl_->address; }
std::size_t HttpServer::connections() const noexcept { return impl_->connection_count.load(std::memory_order_relaxed); }

}  // namespace minke::server
