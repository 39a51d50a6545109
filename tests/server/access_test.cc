#include "server/access.h"

#include <gtest/gtest.h>

namespace minke::server {
namespace {

HttpRequest request_with(std::vector<std::pair<std::string, std::string>> headers) {
  HttpRequest request;
  request.headers = std::move(headers);
  return request;
}

bool passes(const Access& access, std::vector<std::pair<std::string, std::string>> headers) {
  try {
    access.check_site(request_with(std::move(headers)));
    return true;
  } catch (const api::ApiError& error) {
    EXPECT_EQ(error.fault(), api::Fault::forbidden);
    return false;
  }
}

TEST(Access, OnLoopbackTheHostMustBeThisMachine) {
  const Access access({.hosts = {"box.lan"}});
  for (const char* host : {"127.0.0.1:6465", "127.1.2.3", "localhost:80", "[::1]:6465", "box.lan:6465", "box.lan"}) {
    EXPECT_TRUE(passes(access, {{"host", host}})) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:6465", "", "[::2]", "["}) {
    EXPECT_FALSE(passes(access, {{"host", host}})) << host;
  }
}

TEST(Access, OnLoopbackPagesOfOtherSitesAreRefused) {
  const Access access({.cors_origins = {"https://chat.example"}});
  const auto from = [&](const char* origin) {
    return passes(access, {{"host", "127.0.0.1:6465"}, {"origin", origin}});
  };
  EXPECT_TRUE(from("http://localhost:3000"));
  EXPECT_TRUE(from("https://chat.example"));
  EXPECT_FALSE(from("https://evil.example"));
  EXPECT_FALSE(from("https://chat.example.evil.example"));
  EXPECT_FALSE(from("null"));
  EXPECT_FALSE(from("file://"));
  EXPECT_EQ(access.allowed_origin(request_with({{"origin", "https://chat.example"}})), "https://chat.example");
  EXPECT_FALSE(access.allowed_origin(request_with({{"origin", "http://localhost:3000"}})));
}

TEST(Access, KeysNameTheIdentity) {
  const Access access({.keys = {make_api_key("alice", "secret-one"), make_api_key("bob", "secret-two")}});
  const auto who = [&](const char* header, const std::string& value) -> std::string {
    try {
      return access.identify(request_with({{header, value}}));
    } catch (const api::ApiError& error) {
      EXPECT_EQ(error.fault(), api::Fault::no_key);
      EXPECT_EQ(error.message().find("secret"), std::string::npos);
      return "nobody";
    }
  };
  EXPECT_EQ(who("authorization", "Bearer secret-one"), "alice");
  EXPECT_EQ(who("authorization", "bearer  secret-two"), "bob");
  EXPECT_EQ(who("x-api-key", "secret-two"), "bob");
  for (const char* wrong :
       {"Bearer secret-onE", "Bearer secret-one ", "Bearer", "Bearer ", "secret-one", "Basic secret-one", ""}) {
    EXPECT_EQ(who("authorization", wrong), "nobody") << wrong;
  }
  EXPECT_EQ(Access(AccessOptions{}).identify(request_with({})), "local");
}

TEST(Access, LoopbackIsTold) {
  for (const char* host : {"127.0.0.1", "localhost", "::1", "127.8.8.8"}) EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "192.168.1.2", "127.0.0.1.example", "example"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

}  // namespace
}  // namespace minke::server
