// TLS on the server's side: a certificate with its key. Only the HTTP server's files see this, and OpenSSL.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

namespace minke::server {

/// TLS 1.2 and 1.3 with what the two PEM files hold: the certificate, then those that vouch for it, and its key.
/// Throws base::Error naming the file.
std::shared_ptr<boost::asio::ssl::context> load_tls(const std::string& certificate_file, const std::string& key_file);

}  // namespace minke::server
