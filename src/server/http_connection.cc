#include "server/http_connection.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ctime>
#include <exception>
#include <utility>
#include <variant>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/none.hpp>

#include "base/cat.h"

namespace minke::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 8192;
/// Of requests that a client sends before it has read the reply to the one before.
constexpr std::size_t kMaxPipelined = std::size_t{64} << 10;
/// A response is sent in one piece with its head up to here.
constexpr std::size_t kJoinBytes = std::size_t{64} << 10;

auto into(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// "Sun, 22 Nov 2026 20:00:00 GMT", whatever the locale.
std::string date_text() {
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm t{};
  ::gmtime_r(&now, &t);
  const auto two = [](int n) { return base::cat(n < 10 ? "0" : "", n); };
  return base::cat(kDays[static_cast<std::size_t>(t.tm_wday)], ", ", two(t.tm_mday), " ",
                   kMonths[static_cast<std::size_t>(t.tm_mon)], " ", t.tm_year + 1900, " ", two(t.tm_hour), ":",
                   two(t.tm_min), ":", two(t.tm_sec), " GMT");
}

std::string chunk_of(std::string_view bytes) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bytes.size(), 16);
  return base::cat(std::string_view(digits.data(), static_cast<std::size_t>(end.ptr - digits.data())), "\r\n", bytes,
                   "\r\n");
}

}  // namespace

/// One request and its response.
struct HttpConnection::Exchange {
  explicit Exchange(HttpShared& the_shared) : shared(the_shared) {}
  ~Exchange() { shared.body_bytes -= reserved; }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// The request's body takes so many bytes, all in all; false when all bodies together would take too many.
  bool reserve(std::size_t bytes) {
    if (bytes <= reserved) return true;
    if (shared.body_bytes + (bytes - reserved) > shared.options.max_bodies_bytes) return false;
    shared.body_bytes += bytes - reserved;
    reserved = bytes;
    return true;
  }

  void release_body() {
    request.body = std::string();
    shared.body_bytes -= std::exchange(reserved, 0);
  }

  HttpShared& shared;
  HttpRequest request;
  HttpRecord record;
  Clock::time_point start = Clock::now();
  bool keep = false;       // the client wants the connection kept
  bool old = false;        // HTTP/1.0: no chunks
  bool body_left = false;  // the request's body was not read
  bool head_only = false;  // HEAD
  bool head_sent = false;
  bool chunked = false;
  std::size_t reserved = 0;
};

HttpConnection::HttpConnection(Socket socket, std::string peer, HttpShared& shared)
    : shared_(shared),
      peer_(std::move(peer)),
      stream_(std::move(socket), shared.tls.get()),
      timer_(stream_.plain().get_executor()) {}

asio::awaitable<void> HttpConnection::run() {
  try {
    bool more = co_await open();
    while (more) {
      more = co_await wait_for_request();
      if (!more) break;
      const Then then = co_await serve_one();
      if (then == Then::close) break;
    }
    co_await say_goodbye();
  } catch (const std::exception&) {
    // Out of memory, or a mistake of ours: this connection ends, the server does not.
  }
  stream_.plain().close();
}

/// TLS comes first. Who speaks plain HTTP is told.
asio::awaitable<bool> HttpConnection::open() {
  if (!stream_.secure()) co_return true;
  error_code error;
  stream_.plain().expires_after(shared_.options.header_time);
  co_await stream_.handshake(error);
  if (!error) co_return !gone_;
  broken_ = true;
  if (error.category() == asio::error::get_ssl_category() && ERR_GET_REASON(error.value()) == SSL_R_HTTP_REQUEST) {
    constexpr std::string_view kAnswer =
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 43\r\n\r\n"
        "This port speaks TLS: use https:// instead\n";
    co_await asio::async_write(stream_.plain(), asio::buffer(kAnswer), into(error));
  }
  co_return false;
}

asio::awaitable<void> HttpConnection::say_goodbye() {
  if (!stream_.secure() || gone_ || broken_) co_return;
  error_code ignored;
  stream_.plain().expires_after(std::chrono::seconds(1));
  co_await stream_.say_goodbye(ignored);
}

void HttpConnection::wake() {
  woken_ = true;
  timer_.cancel();
}

void HttpConnection::drain() {
  if (idle_) cut();
}

void HttpConnection::cut() {
  gone_ = true;
  stream_.plain().close();
  wake();
}

asio::awaitable<bool> HttpConnection::wait_for_request() {
  if (shared_.draining || gone_) co_return false;
  if (buffer_.size() > 0) co_return true;
  idle_ = true;
  error_code error;
  stream_.plain().expires_after(shared_.options.idle_time);
  const std::size_t got = co_await stream_.read_some(buffer_.prepare(kReadBytes), error);
  idle_ = false;
  if (error) co_return false;
  buffer_.commit(got);
  co_return !gone_;
}

/// Feeds the parser until `enough(parser)`; the parser's error or the socket's when it comes to that.
template <class Parser, class Enough>
asio::awaitable<error_code> HttpConnection::feed(Parser& parser, Enough enough) {
  error_code error;
  while (!enough(parser)) {
    bool read = buffer_.size() == 0;
    if (!read) {
      const std::size_t used = parser.put(buffer_.data(), error);
      buffer_.consume(used);
      if (error == http::error::need_more) {
        error = {};
        read = true;
      }
      if (error || enough(parser)) break;
    }
    if (!read) continue;
    const std::size_t got = co_await stream_.read_some(buffer_.prepare(kReadBytes), error);
    if (error) break;
    buffer_.commit(got);
  }
  co_return error;
}

asio::awaitable<HttpConnection::Then> HttpConnection::serve_one() {
  Exchange exchange(shared_);
  exchange.request.peer = peer_;
  exchange.request.secure = stream_.secure();
  http::request_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(shared_.options.max_header_bytes));
  parser.body_limit(boost::none);  // by route, below
  stream_.plain().expires_after(shared_.options.header_time);
  const error_code head_error = co_await feed(parser, [](const auto& p) { return p.is_header_done(); });
  if (head_error) {
    const Then refused = co_await unreadable(exchange, head_error);
    co_return refused;
  }

  const auto& message = parser.get();
  HttpRequest& request = exchange.request;
  request.method = view(message.method_string());
  const std::string_view target = view(message.target());
  const std::size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  if (question < target.size()) request.query = target.substr(question + 1);
  for (const auto& field : message) request.headers.emplace_back(lower(view(field.name_string())), view(field.value()));
  exchange.keep = parser.keep_alive();
  exchange.old = message.version() < 11;
  exchange.head_only = request.method == "HEAD";

  HttpHandler::Admission admission = shared_.handler.admit(request);
  exchange.body_left = !parser.is_done();
  if (parser.content_length() && *parser.content_length() > admission.max_body && !admission.refusal) {
    admission.refusal = shared_.handler.unreadable(
        413, base::cat("the body has ", *parser.content_length(), " bytes; at most ", admission.max_body, " are read"));
  }
  if (admission.refusal) {
    const Then refused = co_await respond(exchange, *admission.refusal, exchange.body_left ? Then::close : Then::next);
    co_return refused;
  }
  if (exchange.body_left) {
    const error_code body_error = co_await read_body(exchange, parser, admission.max_body);
    if (body_error) {
      const Then refused = co_await unreadable(exchange, body_error);
      co_return refused;
    }
  }
  request.body = std::move(parser.get().body());
  exchange.body_left = false;
  const Then then = co_await answer(exchange, admission.quick);
  co_return then;
}

template <class Parser>
asio::awaitable<error_code> HttpConnection::read_body(Exchange& exchange, Parser& parser, std::size_t max_body) {
  const std::string* expects = exchange.request.header("expect");
  if (expects != nullptr && lower(*expects) == "100-continue") {
    const bool sent = co_await write(exchange, "HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return asio::error::broken_pipe;
  }
  parser.body_limit(max_body);
  parser.eager(true);
  // Memory is counted before it is taken where the length is told, else as it comes.
  if (parser.content_length() && !exchange.reserve(static_cast<std::size_t>(*parser.content_length()))) {
    co_return asio::error::no_buffer_space;
  }
  stream_.plain().expires_after(shared_.options.body_time);
  bool fits = true;
  error_code error = co_await feed(parser, [&exchange, &fits](const auto& p) {
    fits = exchange.reserve(p.get().body().capacity());
    return !fits || p.is_done();
  });
  if (!fits) error = asio::error::no_buffer_space;
  co_return error;
}

/// What to say to a request that was not read to its end, if anything.
asio::awaitable<HttpConnection::Then> HttpConnection::unreadable(Exchange& exchange, const error_code& error) {
  int status = 400;
  std::string why = base::cat("not HTTP that can be read: ", error.message());
  if (error == http::error::header_limit) {
    status = 431;
    why = base::cat("the head is longer than ", shared_.options.max_header_bytes, " bytes");
  } else if (error == http::error::body_limit || error == http::error::buffer_overflow) {
    status = 413;
    why = "the body is longer than may be";
  } else if (error == asio::error::no_buffer_space) {
    status = 503;
    why = "too many large requests at once; try again";
  } else if (error.category() != make_error_code(http::error::need_more).category()) {
    co_return Then::close;  // it went away, or was too slow
  }
  exchange.body_left = true;
  const api::Response response = shared_.handler.unreadable(status, why);
  const Then then = co_await respond(exchange, response, Then::close);
  co_return then;
}

asio::awaitable<HttpConnection::Then> HttpConnection::answer(Exchange& exchange, bool quick) {
  const auto node = std::make_shared<WakeList::Node>([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->wake();
  });
  std::function<void()> notify = [wakes = shared_.wakes, node] { wakes->push(node); };
  HttpHandler& handler = shared_.handler;
  api::Answer answer;
  if (quick) {
    answer = handler.answer(exchange.request, std::move(notify));
  } else {
    const HttpRequest& request = exchange.request;
    const auto work = [&handler, &request, &notify]() -> asio::awaitable<api::Answer> {
      co_return handler.answer(request, notify);
    };
    try {
      answer = co_await asio::co_spawn(shared_.workers.get_executor(), work, asio::use_awaitable);
    } catch (const api::TakesLong&) {
      exchange.request.patient = true;
    }
    if (request.patient) answer = co_await asio::co_spawn(shared_.patient.get_executor(), work, asio::use_awaitable);
  }
  // The prompt has been encoded: its text is needed no more.
  exchange.release_body();
  if (const auto* response = std::get_if<api::Response>(&answer)) {
    const Then then = co_await respond(exchange, *response, Then::next);
    co_return then;
  }
  auto stream = std::get<std::unique_ptr<api::Stream>>(std::move(answer));
  const Then then = co_await stream_reply(exchange, std::move(stream));
  co_return then;
}

std::string HttpConnection::head_of(Exchange& exchange, const api::Response& response,
                                    std::optional<std::size_t> length, Then then) {
  exchange.record.status = response.status;
  exchange.head_sent = true;
  exchange.chunked = !length && !exchange.old;
  const bool keep = then == Then::next && exchange.keep && !shared_.draining && (length || exchange.chunked);
  if (!keep) exchange.keep = false;
  const auto status = static_cast<unsigned>(response.status);
  std::string head = base::cat("HTTP/1.1 ", status, " ", view(http::obsolete_reason(http::int_to_status(status))),
                               "\r\nDate: ", date_text(), "\r\nServer: minke\r\nContent-Type: ", response.content_type,
                               "\r\nConnection: ", keep ? "keep-alive" : "close", "\r\n");
  if (length) head += base::cat("Content-Length: ", *length, "\r\n");
  if (exchange.chunked) head += "Transfer-Encoding: chunked\r\n";
  for (const auto& [name, value] : response.headers) head += base::cat(name, ": ", value, "\r\n");
  for (const auto& [name, value] : shared_.handler.headers(exchange.request)) {
    head += base::cat(name, ": ", value, "\r\n");
  }
  head += "\r\n";
  return head;
}

asio::awaitable<HttpConnection::Then> HttpConnection::respond(Exchange& exchange, const api::Response& response,
                                                              Then then) {
  std::string head = head_of(exchange, response, response.body.size(), then);
  const std::string_view body = exchange.head_only ? std::string_view() : std::string_view(response.body);
  bool sent = true;
  if (body.size() <= kJoinBytes) {
    head += body;
    sent = co_await write(exchange, head);
  } else {
    sent = co_await write(exchange, head);
    if (sent) sent = co_await write(exchange, body);
  }
  finish(exchange, sent ? response.status : 499, nullptr);
  if (!sent || !exchange.keep) {
    if (sent && exchange.body_left) co_await linger();
    co_return Then::close;
  }
  co_return Then::next;
}

asio::awaitable<bool> HttpConnection::write(Exchange& exchange, std::string_view bytes) {
  if (gone_) co_return false;
  error_code error;
  stream_.plain().expires_after(shared_.options.write_time);
  const std::size_t sent = co_await stream_.write(asio::buffer(bytes.data(), bytes.size()), error);
  exchange.record.bytes_out += sent;
  co_return !error;
}

asio::awaitable<void> HttpConnection::pause(Clock::time_point until) {
  error_code error;
  timer_.expires_at(until);
  co_await timer_.async_wait(into(error));
}

/// A response to a request whose body was not read would be lost if the socket were closed at once: the client, still
/// sending, would be told of a reset. So the rest is read for a moment and thrown away.
asio::awaitable<void> HttpConnection::linger() {
  constexpr std::size_t kMost = std::size_t{1} << 20;
  error_code error;
  HttpStream::Plain& plain = stream_.plain();
  plain.socket().shutdown(Socket::shutdown_send, error);
  plain.expires_after(std::chrono::seconds(2));
  buffer_.consume(buffer_.size());
  for (std::size_t total = 0; !error && total < kMost;) {
    total += co_await plain.async_read_some(buffer_.prepare(kReadBytes), into(error));
  }
}

/// While a reply is computed nothing is to be read, but the client's leaving would be. What it sends instead is its
/// next request, and is kept.
void HttpConnection::watch() {
  if (!watch_ || watching_ || gone_ || buffer_.size() > kMaxPipelined) return;
  watching_ = true;
  stream_.plain().expires_never();
  stream_.async_read_some(buffer_.prepare(kReadBytes),
                          [self = shared_from_this()](const error_code& error, std::size_t got) {
                            self->watching_ = false;
                            if (!error) {
                              self->buffer_.commit(got);
                              self->watch();
                            } else if (error != asio::error::operation_aborted) {
                              self->gone_ = true;
                            }
                            self->wake();
                          });
}

asio::awaitable<void> HttpConnection::stop_watching() {
  watch_ = false;
  if (watching_) stream_.plain().cancel();
  while (watching_) co_await pause(Clock::now() + std::chrono::seconds(1));
}

asio::awaitable<HttpConnection::Then> HttpConnection::stream_reply(Exchange& exchange,
                                                                   std::unique_ptr<api::Stream> stream) {
  using State = api::Stream::State;
  watch_ = true;
  watch();
  const HttpOptions& options = shared_.options;
  std::string out;
  State state = State::waiting;
  Clock::time_point spoke = Clock::now();
  for (;;) {
    woken_ = false;
    if (gone_) break;
    state = stream->poll(out);
    shared_.handler.watched(*stream);
    const bool ended = state == State::done || state == State::broken;
    const Clock::time_point now = Clock::now();
    if (!exchange.head_sent && stream->holds_head()) {
      if (ended) break;
      if (now - exchange.start >= options.quiet_start) {
        const bool sent = co_await send_piece(exchange, *stream, out, false);
        if (!sent) break;
      }
    } else if (!out.empty() || ended || !exchange.head_sent) {
      const bool sent = co_await send_piece(exchange, *stream, out, state == State::done);
      if (!sent) break;
      spoke = Clock::now();
    } else if (now - spoke >= options.keep_alive) {
      stream->keep_alive(out);
      const bool sent = co_await send_piece(exchange, *stream, out, false);
      if (!sent) break;
      spoke = Clock::now();
    }
    if (ended) break;
    if (state == State::more || woken_) continue;
    co_await pause(exchange.head_sent ? spoke + options.keep_alive : exchange.start + options.quiet_start);
  }
  co_await stop_watching();
  if (gone_) {
    finish(exchange, 499, stream.get());
    co_return Then::close;
  }
  if (!exchange.head_sent) {  // a whole reply that was quick, or failed
    api::Response response;
    if (state == State::done) {
      response.body = std::move(out);
    } else {
      const api::ApiError unknown(api::Fault::internal, "the reply ended early");
      response = shared_.handler.failure(exchange.request, stream->error().value_or(unknown));
    }
    const std::string bytes = head_of(exchange, response, response.body.size(), Then::next) + response.body;
    const bool sent = co_await write(exchange, bytes);
    finish(exchange, sent ? response.status : 499, stream.get());
    co_return sent&& exchange.keep ? Then::next : Then::close;
  }
  finish(exchange, state == State::done ? exchange.record.status : 500, stream.get());
  broken_ = state != State::done;
  if (broken_ && !exchange.chunked) {
    // Without chunks only a reset tells a broken reply from a complete one.
    error_code ignored;
    stream_.plain().socket().set_option(asio::socket_base::linger(true, 0), ignored);
  }
  co_return state == State::done&& exchange.keep ? Then::next : Then::close;
}

/// Sends `out` and empties it, with the head before it if that has not gone out, and what ends a body when it is the
/// `last`. False: the client is gone.
asio::awaitable<bool> HttpConnection::send_piece(Exchange& exchange, api::Stream& stream, std::string& out, bool last) {
  std::string bytes;
  if (!exchange.head_sent) {
    api::Response response;
    if (stream.is_events()) {
      response.content_type = stream.content_type();
      // Proxies must neither keep nor collect what streams.
      response.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
      if (!stream.resume_id().empty()) response.headers.emplace_back("X-Minke-Stream", stream.resume_id());
    }
    bytes = head_of(exchange, response, std::nullopt, Then::next);
  }
  if (exchange.chunked) {
    if (!out.empty()) bytes += chunk_of(out);
    if (last) bytes += "0\r\n\r\n";
  } else {
    bytes += out;
  }
  out.clear();
  const bool sent = co_await write(exchange, bytes);
  if (!sent) gone_ = true;
  co_return sent;
}

void HttpConnection::finish(Exchange& exchange, int status, const api::Stream* stream) {
  exchange.record.status = status;
  exchange.record.stream = stream;
  exchange.record.seconds = std::chrono::duration<double>(Clock::now() - exchange.start).count();
  shared_.handler.finished(exchange.request, exchange.record);
}

}  // namespace minke::server
