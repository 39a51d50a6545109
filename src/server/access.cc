#include "server/access.h"

#include <algorithm>
#include <cstddef>

#include "base/cat.h"
#include "base/quote.h"

namespace minke::server {
namespace {

using api::ApiError;
using api::Fault;

/// Every byte is looked at, whatever the others are.
bool equal(const base::Digest& a, const base::Digest& b) noexcept {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= std::to_integer<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

/// "example.org:80" and "[::1]:80" without the port.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, std::min(host.find(']'), host.size() - 1) + 1);
  return host.substr(0, std::min(host.rfind(':'), host.size()));
}

/// The host of "http://host:port"; empty for others ("null").
std::string_view host_of(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return without_port(origin.substr(scheme.size()));
  }
  return {};
}

std::string_view given_key(const HttpRequest& request) {
  constexpr std::string_view kBearer = "bearer ";
  if (const std::string* authorization = request.header("authorization")) {
    const std::string_view value = *authorization;
    const bool bearer = value.size() > kBearer.size() &&
                        std::equal(kBearer.begin(), kBearer.end(), value.begin(),
                                   [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
    if (bearer) return value.substr(std::min(value.find_first_not_of(' ', kBearer.size()), value.size()));
  }
  const std::string* key = request.header("x-api-key");
  return key == nullptr ? std::string_view() : std::string_view(*key);
}

}  // namespace

ApiKey make_api_key(std::string name, std::string_view key) {
  return {.name = std::move(name), .digest = base::Sha256().add(key).finish()};
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

bool Access::is_own_host(std::string_view host) const {
  const std::string_view name = without_port(host);
  return is_loopback(name) || std::find(options_.hosts.begin(), options_.hosts.end(), name) != options_.hosts.end();
}

std::optional<std::string> Access::allowed_origin(const HttpRequest& request) const {
  const std::string* origin = request.header("origin");
  if (origin == nullptr) return std::nullopt;
  for (const std::string& allowed : options_.cors_origins) {
    if (allowed == "*" || allowed == *origin) return allowed;
  }
  return std::nullopt;
}

void Access::check_site(const HttpRequest& request) const {
  if (!options_.loopback) return;
  const std::string* host = request.header("host");
  if (host != nullptr && !is_own_host(*host)) {
    throw ApiError(Fault::forbidden, base::cat("this server is not ", base::quote_name(*host),
                                               "; --allowed-hosts adds a name that means it"));
  }
  const std::string* origin = request.header("origin");
  if (origin == nullptr || allowed_origin(request)) return;
  const std::string_view site = host_of(*origin);
  if (site.empty() || !is_own_host(site)) {
    throw ApiError(Fault::forbidden, base::cat("pages of ", base::quote_name(*origin),
                                               " may not ask this server; --cors-origins allows them"));
  }
}

std::string Access::identify(const HttpRequest& request) const {
  if (options_.keys.empty()) return "local";
  const std::string_view given = given_key(request);
  const base::Digest digest = base::Sha256().add(given).finish();
  const ApiKey* found = nullptr;
  for (const ApiKey& key : options_.keys) {
    if (equal(key.digest, digest)) found = &key;
  }
  if (found == nullptr) {
    throw ApiError(Fault::no_key, given.empty() ? "no API key was given; send it as \"Authorization: Bearer KEY\""
                                                : "the API key is not one of this server's");
  }
  return found->name;
}

}  // namespace minke::server
