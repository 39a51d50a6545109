// Addresses of the hub and of what it redirects to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace minke::hub {

struct Url {
  std::string scheme;      ///< "http" or "https"
  std::string user;        ///< "user:password", percent-encoding undone; of proxies alone, else empty
  std::string host;        ///< lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;  ///< the scheme's own when none was given
  std::string target;      ///< path and query, beginning with '/'

  bool tls() const noexcept { return scheme == "https"; }
  /// As Host: and CONNECT have it: the port only where it is not the scheme's own.
  std::string authority() const;
  std::string text() const;
};

/// Both speak to the same program: scheme, host and port.
bool same_origin(const Url& a, const Url& b) noexcept;

enum class UserInfo { refused, taken };

/// An absolute http or https address without a fragment, at most 8,192 bytes, of printable ASCII.
/// Error(invalid_argument) naming `what` ("HF_ENDPOINT", "the hub's redirect").
Url parse_url(std::string_view text, std::string_view what, UserInfo user = UserInfo::refused);

/// Where a Location header leads: an absolute address, or a path on `base`'s own host. Errors as parse_url.
Url follow_location(const Url& base, std::string_view location);

/// Every byte but letters, digits, "-._~" and '/' as %XX.
std::string escape_path(std::string_view path);

}  // namespace minke::hub
