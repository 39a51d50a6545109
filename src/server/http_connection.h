// One connection of the HTTP server, as a coroutine. Only http_server.cc and http_connection.cc see this, and Boost.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/system/error_code.hpp>

#include "server/http.h"
#include "server/http_stream.h"
#include "server/wake_list.h"

namespace minke::server {

/// What the connections share. The server's thread alone touches it, but for `wakes` and the pools.
struct HttpShared {
  const HttpOptions& options;
  HttpHandler& handler;
  boost::asio::thread_pool& workers;
  boost::asio::thread_pool& patient;  ///< one thread, for what takes seconds
  std::shared_ptr<WakeList> wakes;
  std::shared_ptr<boost::asio::ssl::context> tls = nullptr;  ///< of new connections; null: they are plain
  std::size_t body_bytes = 0;                                ///< of all requests
  bool draining = false;
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Socket = HttpStream::Socket;

  HttpConnection(Socket socket, std::string peer, HttpShared& shared);

  /// Serves requests until either side has enough. Never throws.
  boost::asio::awaitable<void> run();
  /// Ends at once when it is between two requests, else after the one it serves.
  void drain();
  /// Ends at once, unfinished.
  void cut();

 private:
  using Clock = std::chrono::steady_clock;

  enum class Then { next, close };
  struct Exchange;

  boost::asio::awaitable<bool> open();
  boost::asio::awaitable<void> say_goodbye();
  boost::asio::awaitable<bool> wait_for_request();
  boost::asio::awaitable<Then> serve_one();
  template <class Parser, class Enough>
  boost::asio::awaitable<boost::system::error_code> feed(Parser& parser, Enough enough);
  template <class Parser>
  boost::asio::awaitable<boost::system::error_code> read_body(Exchange& exchange, Parser& parser, std::size_t max_body);
  boost::asio::awaitable<Then> answer(Exchange& exchange, bool quick);
  boost::asio::awaitable<Then> unreadable(Exchange& exchange, const boost::system::error_code& error);
  boost::asio::awaitable<Then> respond(Exchange& exchange, const api::Response& response, Then then);
  boost::asio::awaitable<Then> stream_reply(Exchange& exchange, std::unique_ptr<api::Stream> stream);
  boost::asio::awaitable<bool> send_piece(Exchange& exchange, api::Stream& stream, std::string& out, bool last);
  boost::asio::awaitable<bool> write(Exchange& exchange, std::string_view bytes);
  boost::asio::awaitable<void> pause(Clock::time_point until);
  boost::asio::awaitable<void> linger();
  std::string head_of(Exchange& exchange, const api::Response& response, std::optional<std::size_t> length, Then then);
  void finish(Exchange& exchange, int status, const api::Stream* stream);
  void watch();
  boost::asio::awaitable<void> stop_watching();
  void wake();

  HttpShared& shared_;
  std::string peer_;
  HttpStream stream_;
  boost::asio::steady_timer timer_;
  boost::beast::flat_buffer buffer_;
  bool idle_ = true;       // waits for a request's first byte
  bool watch_ = false;     // the client's leaving is to be noticed
  bool watching_ = false;  // by a read that is under way
  bool gone_ = false;      // it has left, or the server cuts it off
  bool broken_ = false;    // what has gone out must not look complete
  bool woken_ = false;     // something happened since the last look
};

}  // namespace minke::server
