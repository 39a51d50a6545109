#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "base/error.h"
#include "hub/connection.h"
#include "hub/http_client.h"
#include "hub/hub_client.h"
#include "hub/url.h"

namespace minke::hub {
namespace {

using base::Error;

TEST(Url, PartsAndBack) {
  const Url url = parse_url("HTTPS://Example.ORG:8443/a/b?c=d#e", "X");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "example.org");
  EXPECT_EQ(url.port, 8443);
  EXPECT_EQ(url.target, "/a/b?c=d");
  EXPECT_EQ(url.text(), "https://example.org:8443/a/b?c=d");
  EXPECT_EQ(parse_url("http://[::1]:80", "X").text(), "http://[::1]/");
  EXPECT_EQ(parse_url("https://h?q", "X").target, "/?q");
  EXPECT_EQ(parse_url("http://a%40b:c@h:3128", "X", UserInfo::taken).user, "a@b:c");
}

TEST(Url, Refusals) {
  for (const char* text : {"", "huggingface.co", "ftp://x", "http://", "http://:80", "http://h:0", "http://h:65536",
                           "http://h:1x", "http://a b", "http://h/\r\nX: y", "http://user@h", "http://[::1",
                           "http://h\\x", "http://[::1]x", "http://h/\x80"}) {
    EXPECT_THROW(parse_url(text, "X"), Error) << text;
  }
  EXPECT_THROW(parse_url("http://h/" + std::string(10000, 'a'), "X"), Error);
}

TEST(Url, Redirects) {
  const Url base = parse_url("https://h:1234/x/y", "X");
  EXPECT_EQ(follow_location(base, "/z").text(), "https://h:1234/z");
  EXPECT_EQ(follow_location(base, "//other/z").text(), "https://other/z");
  EXPECT_EQ(follow_location(base, "http://other:5/z").text(), "http://other:5/z");
  EXPECT_THROW(follow_location(base, ""), Error);
  EXPECT_THROW(follow_location(base, "file:///etc/passwd"), Error);
  EXPECT_FALSE(same_origin(base, parse_url("https://h/x", "X")));
  EXPECT_TRUE(same_origin(base, follow_location(base, "/z")));
}

TEST(Url, EscapesPaths) { EXPECT_EQ(escape_path("a b/ü?#.gguf"), "a%20b/%C3%BC%3F%23.gguf"); }

TEST(Proxy, Exemptions) {
  NetworkOptions options{.https_proxy = "S", .http_proxy = "P", .no_proxy = "localhost, .example.org,10.0.0.1:8080"};
  const auto proxy = [&options](const char* url) { return proxy_for(parse_url(url, "X"), options); };
  EXPECT_EQ(proxy("https://huggingface.co"), "S");
  EXPECT_EQ(proxy("http://huggingface.co"), "P");
  EXPECT_EQ(proxy("http://localhost:99"), "");
  EXPECT_EQ(proxy("https://a.example.org"), "");
  EXPECT_EQ(proxy("https://example.org"), "");
  EXPECT_EQ(proxy("https://anexample.org"), "S");
  EXPECT_EQ(proxy("http://10.0.0.1:8080"), "");
  EXPECT_EQ(proxy("http://10.0.0.1:8081"), "P");
  options.no_proxy = "*";
  EXPECT_EQ(proxy("https://huggingface.co"), "");
  EXPECT_EQ(basic_authorization("me:secret"), "Basic bWU6c2VjcmV0");
}

struct Parsed {
  HttpHead head;
  std::string body;
};

Parsed parse(std::string_view reply, std::uint64_t max_body = 1000) {
  Parsed parsed;
  parsed.head = parse_reply(reply, max_body, [&](std::span<const std::byte> bytes) {
    parsed.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return parsed;
}

TEST(Http, Replies) {
  const Parsed whole = parse("HTTP/1.1 206 Partial\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(whole.head.status, 206U);
  EXPECT_EQ(whole.head.field("x-a"), "b");
  EXPECT_EQ(whole.head.field("x-b"), "");
  EXPECT_EQ(whole.head.length(), 5U);
  EXPECT_EQ(whole.body, "hello");
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").body,
            "abcde");
  EXPECT_EQ(parse("HTTP/1.0 200 OK\r\n\r\nuntil it closes").body, "until it closes");
}

TEST(Http, WhatEndsEarlyIsTransport) {
  EXPECT_THROW(parse(""), TransportError);
  EXPECT_THROW(parse("HTTP/1.1 200 OK\r\nContent-"), TransportError);
  EXPECT_THROW(parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), TransportError);
  EXPECT_THROW(parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), TransportError);
}

TEST(Http, Limits) {
  const auto is_format = [](const std::string& reply) {
    try {
      parse(reply);
    } catch (const Error& error) {
      return error.code() == base::ErrorCode::format;
    }
    return false;
  };
  EXPECT_TRUE(is_format("SSH-2.0-OpenSSH\r\n\r\n"));
  EXPECT_TRUE(is_format("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"));
  EXPECT_TRUE(is_format("HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x')));
  EXPECT_TRUE(is_format("HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x') + "\r\n\r\n"));
  EXPECT_TRUE(is_format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n"));
  EXPECT_TRUE(is_format("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"));
}

TEST(Hub, NextLink) {
  EXPECT_EQ(next_link("<https://h/a?b>; rel=\"next\""), "https://h/a?b");
  EXPECT_EQ(next_link("<https://h/a>; rel=\"prev\", <https://h/b>; rel=\"next\""), "https://h/b");
  EXPECT_EQ(next_link("<https://h/a>; rel=\"prev\""), "");
  EXPECT_EQ(next_link("<https://h/a"), "");
  EXPECT_EQ(next_link(""), "");
}

TEST(Hub, Tree) {
  const std::string sha1(40, 'a');
  const std::string sha256(64, 'b');
  const auto files = parse_tree(R"([{"type":"directory","path":"d"},
    {"type":"file","path":"config.json","size":3,"oid":")" +
                                    sha1 + R"("},
    {"type":"file","path":"d/m.gguf","size":130,"oid":")" +
                                    sha1 + R"(","lfs":{"oid":")" + sha256 + R"(","size":5000000000}}])",
                                "page");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].hash.kind, HashKind::git_blob);
  EXPECT_EQ(files[1].hash, (FileHash{HashKind::sha256, sha256}));
  EXPECT_EQ(files[1].size, 5000000000U);
  const auto refused = [&](const std::string& entry) {
    EXPECT_THROW(parse_tree("[" + entry + "]", "page"), Error) << entry;
  };
  refused(R"({"type":"file","path":"x","size":-1,"oid":")" + sha1 + "\"}");
  refused(R"({"type":"file","path":"x","size":1e30,"oid":")" + sha1 + "\"}");
  refused(R"({"type":"file","path":"x","size":1,"oid":"short"})");
  refused(R"({"type":"file","path":"x","size":1,"oid":")" + sha256 + "\"}");
  refused(R"({"type":"file","path":"/x","size":1,"oid":")" + sha1 + "\"}");
  refused("3");
}

TEST(Hub, SafePaths) {
  for (const char* path : {"a", "a/b.gguf", ".gitattributes", "a..b", "ü"}) EXPECT_TRUE(is_safe_path(path)) << path;
  for (const char* path : {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "c:x", "a\nb"})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string(2000, 'a')));
}

TEST(Hub, Endpoints) {
  EXPECT_THROW(HubClient({.endpoint = "nowhere"}), Error);
  EXPECT_THROW(HubClient({.token = "a\r\nX: y"}), Error);
  EXPECT_EQ(HubClient({.endpoint = "https://mirror.example/hf/"}).endpoint(), "https://mirror.example/hf");
}

}  // namespace
}  // namespace minke::hub
