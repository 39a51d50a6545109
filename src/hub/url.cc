#include "hub/url.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/quote.h"

namespace minke::hub {

using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t kMaxUrl = 8192;
constexpr std::size_t kMaxHost = 253;  // of a DNS name
constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

std::uint16_t own_port(std::string_view scheme) { return scheme == "https" ? kHttpsPort : kHttpPort; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

[[noreturn]] void refuse(std::string_view what, std::string_view text, std::string_view why) {
  throw Error(ErrorCode::invalid_argument, cat(what, ": ", why, ", got ", base::quote_name(text)),
              "expected an address such as https://huggingface.co");
}

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_address_byte(char c) { return (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9') || c == ':' || c == '.'; }

std::optional<unsigned> hex_value(char c) {
  const char l = lower(c);
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (l >= 'a' && l <= 'f') return static_cast<unsigned>(l - 'a' + 10);
  return std::nullopt;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const auto high = hex_value(text[i + 1]);
      const auto low = hex_value(text[i + 2]);
      if (high && low) {
        out.push_back(static_cast<char>(*high * 16 + *low));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

/// host, [address], host:port
void parse_authority(std::string_view authority, std::string_view what, std::string_view whole, Url& url) {
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) refuse(what, whole, "an address in brackets does not end");
    host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) refuse(what, whole, "expected a port after the bracket");
  } else if (const std::size_t colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  url.host = lowered(host);
  const bool good = authority.starts_with('[') ? std::all_of(url.host.begin(), url.host.end(), is_address_byte)
                                               : std::all_of(url.host.begin(), url.host.end(), is_host_byte);
  if (url.host.empty() || url.host.size() > kMaxHost || !good) refuse(what, whole, "expected a host's name");
  url.port = own_port(url.scheme);
  if (port.size() > 1) {
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), url.port);
    if (error != std::errc() || end != port.data() + port.size() || url.port == 0)
      refuse(what, whole, "expected a port from 1 to 65535");
  }
}

}  // namespace

std::string Url::authority() const {
  const bool address = host.find(':') != std::string::npos;
  const std::string name = address ? cat("[", host, "]") : host;
  return port == own_port(scheme) ? name : cat(name, ":", port);
}

std::string Url::text() const { return cat(scheme, "://", authority(), target); }

bool same_origin(const Url& a, const Url& b) noexcept {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

Url parse_url(std::string_view text, std::string_view what, UserInfo user) {
  if (text.size() > kMaxUrl) refuse(what, text, cat("longer than ", kMaxUrl, " bytes"));
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127 && c != '\\'; }))
    refuse(what, text, "expected printable ASCII without blanks");
  const std::size_t colon = text.find("://");
  Url url;
  url.scheme = colon == std::string_view::npos ? std::string() : lowered(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") refuse(what, text, "expected http:// or https://");
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, end);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    if (user == UserInfo::refused) refuse(what, text, "an address with a user in it is not taken");
    url.user = unescaped(authority.substr(0, at));
    authority = authority.substr(at + 1);
  }
  parse_authority(authority, what, text, url);
  url.target = rest.substr(end);
  if (!url.target.starts_with('/')) url.target = cat("/", url.target);
  return url;
}

Url follow_location(const Url& base, std::string_view location) {
  constexpr std::string_view kWhat = "the hub's redirect";
  if (location.starts_with("//")) return parse_url(cat(base.scheme, ":", location), kWhat);
  if (location.starts_with('/')) return parse_url(cat(base.scheme, "://", base.authority(), location), kWhat);
  return parse_url(location, kWhat);
}

std::string escape_path(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~/";
  std::string out;
  for (const char c : path) {
    const char l = lower(c);
    if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || kPlain.find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4U]);
      out.push_back(kDigits[byte & 15U]);
    }
  }
  return out;
}

}  // namespace minke::hub
