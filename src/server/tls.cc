#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdint>

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "base/read_file.h"

namespace minke::server {
namespace {

namespace asio = boost::asio;
using base::cat;
using base::Error;
using base::ErrorCode;
using boost::system::error_code;

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;

void check(const error_code& error, const std::string& file, std::string_view what, std::string hint) {
  if (error) throw Error(ErrorCode::format, cat(file, ": expected ", what, ": ", error.message()), std::move(hint));
}

}  // namespace

std::shared_ptr<asio::ssl::context> load_tls(const std::string& certificate_file, const std::string& key_file) {
  const std::string certificate = base::read_file(certificate_file, kMostBytes);
  const std::string key = base::read_file(key_file, kMostBytes);
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  ::SSL_CTX* const native = context->native_handle();
  ::SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Nothing a client needs, and each an attack's way in.
  ::SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A connection that says nothing keeps no buffers: 34 kB each.
  ::SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  error_code error;
  // Else OpenSSL asks at the terminal.
  context->set_password_callback([](std::size_t, asio::ssl::context::password_purpose) { return std::string(); },
                                 error);
  context->use_certificate_chain(asio::buffer(certificate), error);
  check(error, certificate_file, "a certificate in PEM", "The server's own comes first, then those that vouch for it.");
  context->use_private_key(asio::buffer(key), asio::ssl::context::pem, error);
  check(error, key_file, cat("the key of ", certificate_file, " in PEM, without a password"),
        "openssl pkey -in KEY -out PLAIN writes one without its password.");
  if (::SSL_CTX_check_private_key(native) != 1) {
    ::ERR_clear_error();
    throw Error(ErrorCode::format, cat(key_file, ": expected the key of ", certificate_file, ", got that of another"));
  }
  return context;
}

}  // namespace minke::server
