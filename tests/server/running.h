// A whole server with a scripted model, for tests over real sockets.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "server/app.h"
#include "server/http_server.h"
#include "support/fake_model.h"

namespace minke::server::testing {

/// A server on a free port, ended with the test.
class Running {
 public:
  explicit Running(test::Script script, HttpOptions http = {}, AppOptions app = {}, bool loaded = true)
      : fake_(test::fake_model(std::move(script))), app_(with_log(std::move(app))), server_(on_any_port(http), app_) {
    if (loaded) load();
    thread_ = std::thread([this] { server_.run(); });
  }
  ~Running() { end(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void load() { app_.serve(std::make_shared<api::Service>(fake_.model)); }
  void end() {
    if (!thread_.joinable()) return;
    server_.stop();
    server_.stop();
    thread_.join();
  }
  void join() { thread_.join(); }
  std::uint16_t port() const { return server_.port(); }
  HttpServer& server() { return server_; }
  test::FakeGenerator& generator() { return *fake_.generator; }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  AppOptions with_log(AppOptions options) {
    options.log = [this](std::string_view line) {
      const std::lock_guard lock(mutex_);
      log_ += std::string(line) + "\n";
    };
    return options;
  }
  static HttpOptions on_any_port(HttpOptions options) {
    options.port = 0;
    return options;
  }

  std::mutex mutex_;
  std::string log_;
  test::FakeModel fake_;
  App app_;
  HttpServer server_;
  std::thread thread_;
};

template <typename Condition>
bool soon(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace minke::server::testing
