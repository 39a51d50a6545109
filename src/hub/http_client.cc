#include "hub/http_client.h"

#include <algorithm>
#include <charconv>
#include <mutex>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/quote.h"

namespace minke::hub {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint32_t kMaxHead = 64 * 1024;
constexpr std::size_t kBufferSize = 256 * 1024;
constexpr std::size_t kMaxRedirects = 8;

/// A body that Beast hands on as it comes.
struct StreamedBody {
  struct value_type {
    const HttpClient::OnBody* sink = nullptr;
  };
  class reader {
   public:
    template <bool isRequest, typename Fields>
    reader(http::header<isRequest, Fields>& /*head*/, value_type& body) : body_(body) {}

    static void init(const boost::optional<std::uint64_t>& /*length*/, boost::system::error_code& error) { error = {}; }

    template <typename Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      std::size_t total = 0;
      for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
        const asio::const_buffer piece(*at);
        total += piece.size();
        if (piece.size() > 0) (*body_.sink)({static_cast<const std::byte*>(piece.data()), piece.size()});
      }
      return total;
    }

    static void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

using Parser = http::response_parser<StreamedBody>;

HttpHead head_of(const Parser& parser, const Url& url) {
  HttpHead head;
  head.url = url;
  head.status = parser.get().result_int();
  for (const auto& field : parser.get().base()) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    head.fields.emplace_back(std::move(name), std::string(field.value()));
  }
  return head;
}

/// Reads one reply from `read`, which gives 0 at the end.
class ReplyReader {
 public:
  using Read = std::function<std::size_t(std::span<std::byte>)>;

  ReplyReader(Read read, Url url, std::uint64_t max_body, const HttpClient::OnBody& sink)
      : read_(std::move(read)), url_(std::move(url)), max_body_(max_body), buffer_(kBufferSize) {
    parser_.header_limit(kMaxHead);
    parser_.body_limit(max_body);
    parser_.get().body().sink = &sink;
  }

  HttpHead head() {
    while (!parser_.is_header_done()) step();
    return head_of(parser_, url_);
  }

  void body() {
    parser_.eager(true);
    while (!parser_.is_done()) step();
  }

 private:
  void step() {
    boost::system::error_code error;
    if (begin_ < end_) {
      const std::size_t used = parser_.put(asio::const_buffer(buffer_.data() + begin_, end_ - begin_), error);
      begin_ += used;
      if (error && error != http::error::need_more) fail(error);
      if (!error && used > 0) return;
    }
    fill();
  }

  void fill() {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
    // A head is at most a quarter of the buffer, so a full one is a line of a chunked body that never ends.
    if (end_ == buffer_.size())
      throw Error(ErrorCode::format, cat(url_.authority(), ": no HTTP: a line without an end"));
    const std::size_t count = read_(std::span(buffer_).subspan(end_));
    end_ += count;
    started_ = started_ || count > 0;
    if (count > 0) return;
    boost::system::error_code error;
    // Beast does not take an end before the first byte.
    if (started_) parser_.put_eof(error);
    if (!started_ || error || !parser_.is_done())
      throw TransportError(cat(url_.authority(), ": closed before the answer's end"));
  }

  [[noreturn]] void fail(const boost::system::error_code& error) const {
    if (error == http::error::body_limit)
      throw Error(ErrorCode::format, cat(url_.authority(), ": an answer of more than ", max_body_, " bytes"));
    if (error == http::error::header_limit)
      throw Error(ErrorCode::format, cat(url_.authority(), ": an answer's head of more than ", kMaxHead, " bytes"));
    throw Error(ErrorCode::format, cat(url_.authority(), ": no HTTP: ", error.message()));
  }

  Read read_;
  Url url_;
  std::uint64_t max_body_;
  Parser parser_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  bool started_ = false;
};

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string request_text(const HttpRequest& request, const Url& url, const NetworkOptions& options) {
  const std::string proxy = url.tls() ? std::string() : proxy_for(url, options);
  std::string text = cat("GET ", proxy.empty() ? url.target : url.text(), " HTTP/1.1\r\nHost: ", url.authority(),
                         "\r\nUser-Agent: minke\r\nAccept: ", request.accept,
                         "\r\nAccept-Encoding: identity\r\nConnection: close\r\n");
  if (!proxy.empty()) {
    const bool bare = proxy.find("://") == std::string::npos;
    const Url parsed = parse_url(bare ? cat("http://", proxy) : proxy, "HTTP_PROXY", UserInfo::taken);
    if (!parsed.user.empty()) text += cat("Proxy-Authorization: ", basic_authorization(parsed.user), "\r\n");
  }
  if (!request.token.empty() && same_origin(url, request.url))
    text += cat("Authorization: Bearer ", request.token, "\r\n");
  if (request.range)
    text += cat("Range: bytes=", request.range->first, "-", request.range->first + request.range->size - 1, "\r\n");
  return text + "\r\n";
}

}  // namespace

std::string_view HttpHead::field(std::string_view name) const noexcept {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; });
  return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<std::uint64_t> HttpHead::length() const noexcept {
  const std::string_view text = field("content-length");
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct HttpClient::Lazy {
  std::mutex mutex;
  std::unique_ptr<TlsContext> tls;
};

HttpClient::HttpClient(NetworkOptions options) : options_(std::move(options)), lazy_(std::make_unique<Lazy>()) {}

HttpClient::~HttpClient() = default;

const TlsContext& HttpClient::tls() const {
  const std::lock_guard lock(lazy_->mutex);
  if (!lazy_->tls) lazy_->tls = std::make_unique<TlsContext>(options_.ca_file);
  return *lazy_->tls;
}

HttpHead HttpClient::get_once(const HttpRequest& request, const Url& url, std::vector<HttpHead>& redirects,
                              const OnHead& on_head, const OnBody& on_body) const {
  const std::unique_ptr<Connection> connection = connect(url, options_, url.tls() ? &tls() : nullptr);
  connection->write(request_text(request, url, options_));
  ReplyReader reader([&](std::span<std::byte> out) { return connection->read_some(out); }, url, request.max_body,
                     on_body);
  HttpReply reply{.head = reader.head(), .redirects = std::move(redirects)};
  if (!is_redirect(reply.head.status) && on_head(reply)) reader.body();
  redirects = std::move(reply.redirects);
  return std::move(reply.head);
}

HttpReply HttpClient::get(const HttpRequest& request, const OnHead& on_head, const OnBody& on_body) const {
  HttpReply reply;
  Url url = request.url;
  for (;;) {
    HttpHead head = get_once(request, url, reply.redirects, on_head, on_body);
    if (!is_redirect(head.status)) {
      reply.head = std::move(head);
      return reply;
    }
    const Url next = follow_location(url, head.field("location"));
    if (url.tls() && !next.tls())
      throw Error(ErrorCode::io, cat(url.authority(), ": redirects from https to http: ", base::quote_name(next.host)),
                  "the way would be open to anybody; nothing was fetched");
    reply.redirects.push_back(std::move(head));
    if (reply.redirects.size() > kMaxRedirects)
      throw Error(ErrorCode::io, cat(request.url.authority(), ": more than ", kMaxRedirects, " redirects"));
    url = next;
  }
}

std::pair<HttpReply, std::string> HttpClient::get_text(const HttpRequest& request) const {
  std::string text;
  HttpReply reply = get(
      request, [](const HttpReply&) { return true; },
      [&](std::span<const std::byte> bytes) {
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
  return {std::move(reply), std::move(text)};
}

HttpHead parse_reply(std::string_view bytes, std::uint64_t max_body, const HttpClient::OnBody& on_body) {
  const auto read = [&bytes](std::span<std::byte> out) {
    const std::size_t count = std::min(out.size(), bytes.size());
    const auto from = std::as_bytes(std::span(bytes.data(), count));
    std::copy(from.begin(), from.end(), out.begin());
    bytes.remove_prefix(count);
    return count;
  };
  Url url;
  url.scheme = "http";
  url.host = "fuzz";
  ReplyReader reader(read, url, max_body, on_body);
  HttpHead head = reader.head();
  reader.body();
  return head;
}

}  // namespace minke::hub
