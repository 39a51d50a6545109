// What comes over a connection, whatever it is: each response to it is well-formed, the connection comes to an end, and
// the server goes on. The bytes are sent in pieces that the first byte chooses.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "server/app.h"
#include "server/http_server.h"
#include "support/fake_model.h"
#include "support/temp_folder.h"

namespace {

using namespace minke;

struct World {
  test::TempFolder folder{test::TempFolder::Place::memory};
  test::FakeModel fake = test::fake_model({.text = "hello"});
  server::App app{{.max_body = 4096}};
  server::HttpServer server;
  std::thread thread;

  World() : server(options(folder.file("s")), app), thread([this] { server.run(); }) {
    app.serve(std::make_shared<api::Service>(fake.model));
  }
  ~World() {
    server.stop();
    server.stop();
    thread.join();
  }

  static server::HttpOptions options(std::string path) {
    server::HttpOptions http;
    http.unix_socket = std::move(path);
    http.max_header_bytes = 4096;
    return http;
  }
};

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof address.sun_path));
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
  // A server that neither answers nor closes is found by the fuzzer's time limit; this ends the wait before.
  const timeval most = {.tv_sec = 15, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  return fd;
}

std::string read_all(int fd) {
  std::string all;
  char buffer[4096];
  for (;;) {
    const auto got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno != ECONNRESET) std::abort();
    if (got <= 0) return all;
    all.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size < 1) return 0;
  const std::size_t piece = 1 + std::size_t{data[0]} * 16;
  const int fd = connect_to(world.server.address());
  for (std::size_t at = 1; at < size; at += piece) {
    if (::send(fd, data + at, std::min(piece, size - at), MSG_NOSIGNAL) < 0) break;
  }
  ::shutdown(fd, SHUT_WR);
  const std::string answer = read_all(fd);
  ::close(fd);
  if (!answer.empty() && !answer.starts_with("HTTP/1.1 ")) std::abort();
  return 0;
}
