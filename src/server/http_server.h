// The HTTP server: sockets, threads, limits and the orderly end. HTTP/1.1 with keep-alive; streams as chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http.h"

namespace minke::server {

class HttpServer {
 public:
  /// Opens the port (or the socket file) and accepts nothing yet. Throws base::Error(io): "127.0.0.1:6465: cannot
  /// listen: Address already in use", or what load_tls does. `handler` must outlive the server.
  HttpServer(const HttpOptions& options, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Serves on the calling thread until stop() and the end of what ran.
  void run();
  /// From any thread: no new connections or requests; what runs may finish within HttpOptions::drain_time, then it is
  /// cut off. A second call cuts it off at once.
  void stop();
  /// SIGTERM and SIGINT mean stop(), from now until the server ends; SIGHUP reads the certificate again, if there
  /// is one, and ends nothing.
  void stop_on_signals();

  std::uint16_t port() const noexcept;
  /// "127.0.0.1:6465" or the socket's path.
  std::string address() const;
  std::size_t connections() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace minke::server
