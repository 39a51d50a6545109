#include "cli/server_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "formats/json.h"
#include "hub/connection.h"
#include "hub/http_client.h"
#include "hub/url.h"

namespace minke::cli {
namespace {

constexpr std::uint64_t kMaxReply = std::uint64_t{16} << 20;
constexpr int kSeconds = 30;

/// A Unix socket. Blocks for at most kSeconds.
class LocalConnection final : public hub::Connection {
 public:
  explicit LocalConnection(const std::string& path)
      : path_(path), fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
      close();
      throw base::Error(base::ErrorCode::invalid_argument,
                        base::cat(base::quote_name(path), ": too long for a socket"));
    }
    std::copy(path.begin(), path.end(), address.sun_path);
    const timeval time{.tv_sec = kSeconds, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const int why = errno;
      close();
      throw base::io_error(path, "connect", why);
    }
  }
  ~LocalConnection() override { close(); }
  LocalConnection(const LocalConnection&) = delete;
  LocalConnection& operator=(const LocalConnection&) = delete;

  std::size_t read_some(std::span<std::byte> out) override {
    for (;;) {
      const auto got = ::recv(fd_, out.data(), out.size(), 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) throw base::io_error(path_, "read from the server", errno);
    }
  }
  void write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno != EINTR) {
        throw base::io_error(path_, "write to the server", errno);
      }
    }
  }

 private:
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  std::string path_;
  int fd_;
};

std::string_view variable(const Environment& environment, std::string_view name) {
  for (const auto& [key, value] : environment.minke_variables) {
    if (key == name) return value;
  }
  return {};
}

std::string default_url(const Environment& environment) {
  std::string host(variable(environment, "MINKE_HOST"));
  const std::string_view port = variable(environment, "MINKE_PORT");
  // What a server listens on is not always where it is reached.
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = base::cat("[", host, "]");
  return base::cat("http://", host, ":", port.empty() ? "6465" : port);
}

/// As --api-key of `minke serve` has it: "NAME:KEY,...". The first.
std::string_view bare_key(std::string_view text) {
  text = text.substr(0, text.find(','));
  const std::size_t colon = text.find(':');
  return colon == text.npos ? text : text.substr(colon + 1);
}

std::string read_all(hub::Connection& connection) {
  std::string all;
  std::array<std::byte, 16384> buffer{};
  while (const std::size_t got = connection.read_some(buffer)) {
    all.append(reinterpret_cast<const char*>(buffer.data()), got);
    if (all.size() > kMaxReply) {
      throw base::Error(base::ErrorCode::format, base::cat("the server's answer has more than ", kMaxReply, " bytes"));
    }
  }
  return all;
}

/// What a body says of an error; Ollama's shape, as the routes here are its.
std::string error_text(const ServerReply& reply) {
  try {
    const auto value = formats::parse_json(reply.body, "the server's answer");
    if (const auto* object = value.if_object()) {
      const auto* error = object->if_contains("error");
      if (error != nullptr && error->is_object()) error = error->get_object().if_contains("message");
      if (error != nullptr && error->is_string()) return std::string(error->get_string());
    }
  } catch (const base::Error&) {
    // No JSON: no minke, perhaps.
  }
  return base::cat("the server answered with status ", reply.status);
}

base::ErrorCode code_of(unsigned status) {
  if (status == 404) return base::ErrorCode::not_found;
  return status >= 500 ? base::ErrorCode::io : base::ErrorCode::invalid_argument;
}

std::unique_ptr<hub::Connection> open(const hub::Url& url, const Environment& environment, const ServerFlags& flags) {
  if (!flags.socket.empty()) return std::make_unique<LocalConnection>(flags.socket);
  hub::NetworkOptions network;  // no proxy: it is one's own server
  network.ca_file = environment.ssl_cert_file;
  std::unique_ptr<hub::TlsContext> tls;
  if (url.tls()) tls = std::make_unique<hub::TlsContext>(network.ca_file);
  try {
    return hub::connect(url, network, tls.get());
  } catch (const hub::TransportError& error) {
    throw base::Error(base::ErrorCode::io, error.message(), "is \"minke serve\" running there? --url says where it is");
  }
}

}  // namespace

void add_server_client_flags(CLI::App& app, ServerFlags& flags) {
  app.add_option("--url", flags.url, "Where the server is (default http://127.0.0.1:6465)")->option_text("URL");
  app.add_option("--socket", flags.socket, "The Unix socket that it listens on")->option_text("PATH");
  app.add_option("--api-key", flags.key, "The key that it wants")->option_text("KEY");
}

ServerReply ask_server(const Environment& environment, const ServerFlags& flags, std::string_view method,
                       std::string_view path, std::string_view body) {
  const bool local = !flags.socket.empty();
  const std::string given = local ? "http://localhost" : flags.url.empty() ? default_url(environment) : flags.url;
  const hub::Url url = hub::parse_url(given, "--url");
  std::string text = base::cat(method, " ", path, " HTTP/1.1\r\nHost: ", url.authority(),
                               "\r\nUser-Agent: minke\r\nConnection: close\r\n");
  const std::string_view key = bare_key(flags.key);
  if (std::ranges::any_of(key, [](char c) { return c <= ' ' || c == 127; })) {
    throw base::Error(base::ErrorCode::invalid_argument, "--api-key: a blank or control character in it");
  }
  if (!key.empty()) text += base::cat("Authorization: Bearer ", key, "\r\n");
  if (!body.empty()) {
    text += base::cat("Content-Type: application/json\r\nContent-Length: ", body.size(), "\r\n");
  }
  text += base::cat("\r\n", body);
  const std::unique_ptr<hub::Connection> connection = open(url, environment, flags);
  connection->write(text);
  ServerReply reply;
  const hub::HttpHead head =
      hub::parse_reply(read_all(*connection), kMaxReply, [&reply](std::span<const std::byte> bytes) {
        reply.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
  reply.status = head.status;
  if (reply.status >= 400) throw base::Error(code_of(reply.status), error_text(reply));
  return reply;
}

}  // namespace minke::cli
