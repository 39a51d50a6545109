// TLS over real sockets, with certificates that are made here.
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/cat.h"
#include "base/error.h"
#include "server/app.h"
#include "server/http_client.h"
#include "server/http_server.h"
#include "support/fake_model.h"
#include "support/temp_folder.h"

namespace minke::server {
namespace {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* p) const {
    release(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Release<SSL_CTX_free>>;
using Bio = std::unique_ptr<BIO, Release<BIO_free>>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// A certificate that vouches for itself, and its key.
struct Pair {
  explicit Pair(const std::string& name) : key(EVP_EC_gen("P-256")), certificate(X509_new()) {
    X509* const x509 = certificate.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key.get());
    X509_NAME* const subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(x509, subject);
    X509_sign(x509, key.get(), EVP_sha256());
  }

  std::string certificate_text() const {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    return text_of(bio.get());
  }
  std::string key_text(const char* password = nullptr) const {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key.get(), password == nullptr ? nullptr : EVP_aes_128_cbc(),
                             reinterpret_cast<const unsigned char*>(password),
                             password == nullptr ? 0 : static_cast<int>(std::string_view(password).size()), nullptr,
                             nullptr);
    return text_of(bio.get());
  }

  Key key;
  Certificate certificate;
};

void write_file(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// Its files in a folder of the test's.
class Files {
 public:
  Files() { keep(Pair("127.0.0.1")); }
  void keep(const Pair& pair) {
    write_file(certificate(), pair.certificate_text());
    write_file(key(), pair.key_text());
  }
  std::string certificate() const { return folder_.file("certificate.pem"); }
  std::string key() const { return folder_.file("key.pem"); }
  HttpOptions options() const {
    HttpOptions options;
    options.port = 0;
    options.tls_certificate = certificate();
    options.tls_key = key();
    return options;
  }

 private:
  test::TempFolder folder_;
};

class Running {
 public:
  explicit Running(const HttpOptions& options, bool signals = false) : server_(options, app_) {
    app_.serve(std::make_shared<api::Service>(fake_.model));
    if (signals) server_.stop_on_signals();
    thread_ = std::thread([this] { server_.run(); });
  }
  ~Running() {
    server_.stop();
    thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  std::uint16_t port() const { return server_.port(); }

 private:
  test::FakeModel fake_ = test::fake_model({.text = "hello"});
  App app_{AppOptions{}};
  HttpServer server_;
  std::thread thread_;
};

struct Answer {
  bool connected = false;  ///< the handshake was done, and the certificate is the one that was trusted
  bool orderly = false;    ///< the server said that nothing follows
  std::string version, text;
};

/// One request that asks for the connection's end, by a client that trusts `trusted` alone.
Answer ask(std::uint16_t port, const std::string& request, X509* trusted, int most_version = TLS1_3_VERSION) {
  Answer answer;
  const Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_max_proto_version(context.get(), most_version);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), trusted);
  const testing::Client client(port);
  const std::unique_ptr<SSL, Release<SSL_free>> ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), client.descriptor());
  answer.connected = SSL_connect(ssl.get()) == 1;
  if (!answer.connected) return answer;
  answer.version = SSL_get_version(ssl.get());
  SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
  char buffer[4096];
  for (int got = 0; (got = SSL_read(ssl.get(), buffer, sizeof buffer)) > 0;) {
    answer.text.append(buffer, static_cast<std::size_t>(got));
  }
  answer.orderly = (SSL_get_shutdown(ssl.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  SSL_shutdown(ssl.get());
  return answer;
}

std::string request_of(const std::string& body, const std::string& version = "HTTP/1.1") {
  return base::cat("POST /v1/chat/completions ", version,
                   "\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

const std::string kAsk = R"({"model":"fake","messages":[{"role":"user","content":"whale"}],"stream":true})";

TEST(Tls, ServesStreams) {
  Files files;
  const Pair pair("127.0.0.1");
  files.keep(pair);
  const Running running(files.options());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Answer answer = ask(running.port(), request_of(kAsk), pair.certificate.get(), version);
    ASSERT_TRUE(answer.connected) << version;
    EXPECT_EQ(answer.version, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    EXPECT_TRUE(answer.text.starts_with("HTTP/1.1 200 ")) << answer.text;
    EXPECT_TRUE(answer.text.ends_with("\r\n0\r\n\r\n")) << answer.text;
    EXPECT_TRUE(answer.orderly);
  }
  // Without lengths and chunks only this tells the end from a break.
  const Answer old = ask(running.port(), request_of(kAsk, "HTTP/1.0"), pair.certificate.get());
  EXPECT_TRUE(old.text.ends_with("data: [DONE]\n\n"));
  EXPECT_TRUE(old.orderly);
  EXPECT_FALSE(ask(running.port(), request_of(kAsk), pair.certificate.get(), TLS1_1_VERSION).connected);
  EXPECT_FALSE(ask(running.port(), request_of(kAsk), Pair("127.0.0.1").certificate.get()).connected);
}

TEST(Tls, PlainHttpIsToldWhatToDo) {
  const Files files;
  const Running running(files.options());
  testing::Client client(running.port());
  const testing::Reply reply = client.get("/health");
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("https://"), std::string::npos) << reply.body;
}

TEST(Tls, SilenceIsNotWaitedForAndEndsWithTheServer) {
  const Files files;
  HttpOptions options = files.options();
  options.header_time = std::chrono::milliseconds(50);
  const Running running(options);
  testing::Client silent(running.port());
  EXPECT_TRUE(silent.closed());
}

TEST(Tls, HangupReadsTheCertificateAgain) {
  // Sent to the process; whoever listens hears it.
  Files files;
  std::atomic<int> read{0}, failed{0};
  HttpOptions options = files.options();
  options.on_reload = [&](const std::string& said) { ++(said.ends_with("read again") ? read : failed); };
  const Running running(options, /*signals=*/true);
  const auto reload = [](const std::atomic<int>& count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    ::kill(::getpid(), SIGHUP);
    while (count == 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return count == 1;
  };
  const Pair next("127.0.0.1");
  EXPECT_FALSE(ask(running.port(), request_of(kAsk), next.certificate.get()).connected);
  files.keep(next);
  EXPECT_TRUE(reload(read));
  EXPECT_TRUE(ask(running.port(), request_of(kAsk), next.certificate.get()).connected);
  write_file(files.key(), "nothing");
  EXPECT_TRUE(reload(failed));
  EXPECT_TRUE(ask(running.port(), request_of(kAsk), next.certificate.get()).connected) << "it stays what it was";
}

TEST(Tls, FilesThatWillNotDoAreNamed) {
  Files files;
  App app{AppOptions{}};
  const auto refusal = [&app](const HttpOptions& options) {
    try {
      const HttpServer server(options, app);
    } catch (const base::Error& error) {
      return error.message();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refusal(files.options()), "accepted");
  const Pair pair("127.0.0.1");
  write_file(files.key(), pair.key_text());
  EXPECT_TRUE(refusal(files.options()).starts_with(files.key())) << "another's key";
  write_file(files.certificate(), pair.certificate_text());
  write_file(files.key(), pair.key_text("secret"));
  EXPECT_TRUE(refusal(files.options()).starts_with(files.key())) << "one with a password";
  write_file(files.certificate(), "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n");
  EXPECT_TRUE(refusal(files.options()).starts_with(files.certificate()));
  HttpOptions missing = files.options();
  missing.tls_certificate = "/nowhere/certificate.pem";
  EXPECT_NE(refusal(missing).find("/nowhere/certificate.pem"), std::string::npos);
}

}  // namespace
}  // namespace minke::server
