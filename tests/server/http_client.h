// A client for tests: bytes out, bytes in, nothing hidden.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace minke::server::testing {

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< chunks joined
  bool complete = false;                       ///< it came to its proper end
};

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) close();
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return fd_ >= 0; }
  int descriptor() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// The client sends no more.
  void finish_sending() const { ::shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Appends what comes within the time; false at the end of the connection, or when nothing came.
  bool receive(std::chrono::milliseconds most = std::chrono::seconds(20)) {
    struct pollfd fd = {.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&fd, 1, static_cast<int>(most.count())) != 1) return false;
    char buffer[16384];
    const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  bool receive_until(std::string_view text) {
    while (received_.find(text) == std::string::npos) {
      if (!receive()) return false;
    }
    return true;
  }
  const std::string& received() const { return received_; }
  /// The server has ended the connection.
  bool closed() {
    while (!closed_ && receive()) {
    }
    return closed_;
  }

  /// The next response. `has_body`: false for the response to HEAD.
  Reply read(bool has_body = true) {
    Reply reply;
    if (!receive_until("\r\n\r\n")) return reply;
    const std::size_t end = received_.find("\r\n\r\n");
    const std::string head = received_.substr(0, end + 2);
    received_.erase(0, end + 4);
    reply.status = std::atoi(head.substr(head.find(' ') + 1, 3).c_str());
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t line_end = head.find("\r\n", at);
      const std::size_t colon = head.find(": ", at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
      reply.headers[name] = head.substr(colon + 2, line_end - colon - 2);
      at = line_end + 2;
    }
    if (!has_body || reply.status == 100) {
      reply.complete = true;
    } else if (reply.headers.contains("content-length")) {
      read_length(std::strtoull(reply.headers["content-length"].c_str(), nullptr, 10), reply);
    } else if (reply.headers.contains("transfer-encoding")) {
      read_chunks(reply);
    }
    return reply;
  }

  Reply get(const std::string& path, const std::string& headers = "") {
    send("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n");
    return read();
  }
  void start_post(const std::string& path, const std::string& body, const std::string& headers = "") const {
    send("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
  }
  Reply post(const std::string& path, const std::string& body, const std::string& headers = "") {
    start_post(path, body, headers);
    return read();
  }

 private:
  bool have(std::size_t size) {
    while (received_.size() < size) {
      if (!receive()) return false;
    }
    return true;
  }
  void read_length(std::size_t size, Reply& reply) {
    reply.complete = have(size);
    reply.body = received_.substr(0, size);
    received_.erase(0, size);
  }
  void read_chunks(Reply& reply) {
    for (;;) {
      if (!receive_until("\r\n")) return;
      const std::size_t line = received_.find("\r\n");
      const std::size_t size = std::strtoull(received_.substr(0, line).c_str(), nullptr, 16);
      if (!have(line + 2 + size + 2)) {
        reply.body += received_.substr(line + 2);
        return;
      }
      reply.body += received_.substr(line + 2, size);
      received_.erase(0, line + 2 + size + 2);
      if (size == 0) {
        reply.complete = true;
        return;
      }
    }
  }

  int fd_;
  std::string received_;
  bool closed_ = false;
};

}  // namespace minke::server::testing
