// A connection's bytes, plain or through TLS. Only http_connection sees this.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/system/error_code.hpp>

namespace minke::server {

class HttpStream {
  static auto into(boost::system::error_code& error) {
    return boost::asio::redirect_error(boost::asio::use_awaitable, error);
  }

 public:
  using Plain = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Error = boost::system::error_code;

  /// `tls`: null for plain bytes.
  HttpStream(Socket socket, boost::asio::ssl::context* tls) : plain_(std::move(socket)) {
    if (tls != nullptr) tls_.emplace(plain_, *tls);
  }

  /// Below TLS: time limits, cancelling, closing.
  Plain& plain() noexcept { return plain_; }
  bool secure() const noexcept { return tls_.has_value(); }

  boost::asio::awaitable<void> handshake(Error& error) {
    if (tls_) co_await tls_->async_handshake(boost::asio::ssl::stream_base::server, into(error));
  }
  /// Tells the client that nothing follows, and waits until it has said so, too.
  boost::asio::awaitable<void> say_goodbye(Error& error) {
    if (tls_) co_await tls_->async_shutdown(into(error));
  }

  boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer to, Error& error) {
    std::size_t got = 0;
    if (tls_) {
      got = co_await tls_->async_read_some(to, into(error));
    } else {
      got = co_await plain_.async_read_some(to, into(error));
    }
    co_return got;
  }
  template <class Handler>
  void async_read_some(boost::asio::mutable_buffer to, Handler&& handler) {
    if (tls_) {
      tls_->async_read_some(to, std::forward<Handler>(handler));
    } else {
      plain_.async_read_some(to, std::forward<Handler>(handler));
    }
  }
  boost::asio::awaitable<std::size_t> write(boost::asio::const_buffer bytes, Error& error) {
    std::size_t sent = 0;
    if (tls_) {
      sent = co_await boost::asio::async_write(*tls_, bytes, into(error));
    } else {
      sent = co_await boost::asio::async_write(plain_, bytes, into(error));
    }
    co_return sent;
  }

 private:
  Plain plain_;
  std::optional<boost::asio::ssl::stream<Plain&>> tls_;
};

}  // namespace minke::server
