// Asking a running `minke serve`.
#pragma once

#include <string>
#include <string_view>

#include "cli/environment.h"

namespace CLI {
class App;
}

namespace minke::cli {

/// Where the server is, and the key that it wants.
struct ServerFlags {
  std::string url, socket, key;
};
void add_server_client_flags(CLI::App& app, ServerFlags& flags);

struct ServerReply {
  unsigned status = 0;
  std::string body;
};

/// One request. Without --url and --socket it goes to where `minke serve` listens in this environment: $MINKE_HOST and
/// $MINKE_PORT, else 127.0.0.1:6465. Errors: io when nobody answers, and the server's own for a status above 399.
ServerReply ask_server(const Environment& environment, const ServerFlags& flags, std::string_view method,
                       std::string_view path, std::string_view body = {});

}  // namespace minke::cli
