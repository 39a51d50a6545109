// Who may ask: API keys, and protection of a server on loopback from web pages that its user visits.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/api_error.h"
#include "base/sha256.h"
#include "server/http.h"

namespace minke::server {

struct ApiKey {
  std::string name;  ///< whose it is: the identity of its requests
  base::Digest digest{};
};

/// A key by name; the key itself is not kept.
ApiKey make_api_key(std::string name, std::string_view key);

struct AccessOptions {
  std::vector<ApiKey> keys;               ///< none: everybody may ask
  bool loopback = true;                   ///< the server listens where only this machine reaches it
  std::vector<std::string> hosts;         ///< further names in Host that mean this server
  std::vector<std::string> cors_origins;  ///< web pages' origins that may ask: "https://chat.example", or "*"
};

/// "127.0.0.1", "::1", "localhost": nobody else reaches what listens there.
bool is_loopback(std::string_view host);

class Access {
 public:
  explicit Access(AccessOptions options) : options_(std::move(options)) {}

  /// A page of another site must not speak to a server that trusts whoever reaches it. Its requests carry its origin;
  /// those of a name that was made to lead here (DNS rebinding) carry that name as Host. Throws ApiError(forbidden).
  void check_site(const HttpRequest& request) const;
  /// The name of the request's key, "local" where there are no keys. Compared in time that tells nothing of the keys.
  /// Throws ApiError(no_key).
  std::string identify(const HttpRequest& request) const;
  /// The origin to allow in the response's CORS headers.
  std::optional<std::string> allowed_origin(const HttpRequest& request) const;

 private:
  bool is_own_host(std::string_view host) const;

  AccessOptions options_;
};

}  // namespace minke::server
