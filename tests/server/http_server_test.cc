// The whole server over real sockets, with a model that is scripted.
#include "server/http_server.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/cat.h"
#include "base/error.h"
#include "formats/json.h"
#include "server/app.h"
#include "server/http_client.h"
#include "server/running.h"
#include "support/fake_model.h"

namespace minke::server {
namespace {

using namespace std::chrono_literals;
using testing::Client;
using testing::Reply;
using testing::Running;
using testing::soon;

const std::string kChat = R"({"model":"fake","messages":[{"role":"user","content":"whale"}]})";
const std::string kStream = R"({"model":"fake","stream":true,"messages":[{"role":"user","content":"whale"}]})";

TEST(HttpServer, ServesSeveralRequestsOnOneConnection) {
  Running running({.text = "hello"});
  Client client(running.port());
  const Reply health = client.get("/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_NE(health.body.find("\"ok\""), std::string::npos);
  const Reply chat = client.post("/v1/chat/completions", kChat);
  EXPECT_EQ(chat.status, 200);
  EXPECT_TRUE(chat.headers.contains("content-length")) << "it was quick";
  EXPECT_NE(chat.body.find("\"hello\""), std::string::npos);
  EXPECT_FALSE(chat.headers.at("x-request-id").empty());
  const Reply stream = client.post("/chat/completions", kStream);
  EXPECT_EQ(stream.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_TRUE(stream.complete);
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(client.get("/v1/models/fake").status, 200);
  client.send("HEAD /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  EXPECT_EQ(client.read(false).status, 200);
  EXPECT_EQ(client.get("/").status, 200);
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  Running running({.text = "abc", .step = std::chrono::microseconds(20000)});
  Client client(running.port());
  client.start_post("/v1/chat/completions", kStream, "X-Request-Id: one\r\n");
  client.send("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: two\r\n\r\n");
  const Reply first = client.read(), second = client.read();
  EXPECT_EQ(first.headers.at("x-request-id"), "one");
  EXPECT_TRUE(first.complete);
  EXPECT_EQ(second.headers.at("x-request-id"), "two");
  EXPECT_EQ(second.status, 200);
}

TEST(HttpServer, WhatIsWrongHasItsStatus) {
  Running running({.text = "x"}, {.max_header_bytes = 4096}, {.max_body = 1000});
  const auto status = [&](const std::string& bytes) {
    Client client(running.port());
    client.send(bytes);
    client.finish_sending();
    return client.read().status;
  };
  EXPECT_EQ(status("GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 404);
  EXPECT_EQ(status("DELETE /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 405);
  EXPECT_EQ(status("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 403);
  EXPECT_EQ(
      status(
          "POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nContent-Length: 2\r\n\r\n{}"),
      403);
  EXPECT_EQ(status("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + std::string(5000, 'a') + "\r\n\r\n"), 431);
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1001\r\n\r\n"), 413);
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n"), 400);
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3ff\r\n" +
                   std::string(1023, ' ') + "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "f\r\n{\"content\":\"ab\"}\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "10\r\n{\"content\":\"ab\"}\r\n0\r\n\r\n"),
            200);
  Client client(running.port());
  EXPECT_EQ(client.post("/v1/chat/completions", "{").status, 400);
  EXPECT_EQ(client.get("/health").status, 200) << "the connection goes on";
}

TEST(HttpServer, ExpectedContinueIsSaidOnlyToAdmittedRequests) {
  Running running({.text = "x"});
  Client client(running.port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read(false).status, 100);
  client.send(R"({"content":"ab"})");
  EXPECT_EQ(client.read().status, 200);
  Client other(running.port());
  other.send("POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(other.read().status, 404);
}

TEST(HttpServer, EveryRouteButTheOpenOnesWantsAKey) {
  Running running({.text = "x"}, {}, {.access = {.keys = {make_api_key("alice", "secret-one")}}});
  for (const Route& route : routes()) {
    Client client(running.port());
    const std::string path =
        std::string(route.path) + (route.path.size() > 1 && route.path.ends_with('/') ? "fake" : "");
    const std::string body = route.method == "POST" ? "Content-Length: 2\r\n\r\n{}" : "\r\n";
    client.send(base::cat(route.method, " ", path, " HTTP/1.1\r\nHost: 127.0.0.1\r\n", body));
    const int status = client.read().status;
    if (route.scope == Scope::open) {
      EXPECT_EQ(status, 200) << path;
    } else {
      EXPECT_EQ(status, 401) << path;
    }
  }
  Client client(running.port());
  EXPECT_EQ(client.get("/nothing").status, 401) << "without a key nothing is told about routes";
  Client alice(running.port());
  EXPECT_EQ(alice.post("/v1/chat/completions", kChat, "Authorization: Bearer secret-one\r\n").status, 200);
  EXPECT_EQ(running.generator().requests.at(0).identity, "alice");
  EXPECT_TRUE(soon([&] { return running.log().find("\"identity\":\"alice\"") != std::string::npos; }));
  EXPECT_EQ(running.log().find("secret"), std::string::npos);
  EXPECT_EQ(running.log().find("whale"), std::string::npos) << "no prompts";
}

TEST(HttpServer, ALongReplyIsHeardOf) {
  HttpOptions http;
  http.keep_alive = 100ms;
  http.quiet_start = 50ms;
  Running running({.text = "x", .queue = 700ms}, http);
  Client streams(running.port());
  const Reply stream = streams.post("/v1/chat/completions", kStream);
  EXPECT_NE(stream.body.find(": keep-alive, queue position 3"), std::string::npos);
  EXPECT_TRUE(stream.complete);
  Client whole(running.port());
  const Reply reply = whole.post("/v1/chat/completions", kChat);
  EXPECT_TRUE(reply.complete);
  EXPECT_TRUE(reply.body.starts_with("\n\n")) << reply.body.substr(0, 10);
  EXPECT_EQ(formats::parse_json(reply.body, "reply").at("object").as_string(), "chat.completion");
}

TEST(HttpServer, AClientThatLeavesCancels) {
  Running running({.text = "abc", .endless = true});
  {
    Client client(running.port());
    client.start_post("/v1/chat/completions", kStream);
    EXPECT_TRUE(client.receive_until("\"c\""));
  }
  EXPECT_TRUE(soon([&] { return running.generator().cancelled() == 1; }));
  {
    Client client(running.port());
    client.start_post("/v1/chat/completions", kChat);
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_TRUE(soon([&] { return running.generator().cancelled() == 2; }));
  EXPECT_TRUE(soon([&] { return running.log().find("\"status\":499") != std::string::npos; }));
}

TEST(HttpServer, AFailureAfterTheFirstByteDoesNotLookLikeAnEnd) {
  HttpOptions http;
  http.quiet_start = 50ms;
  Running running({.text = "ab", .queue = 200ms, .error = "not finite"}, http);
  Client streams(running.port());
  const Reply stream = streams.post("/v1/chat/completions", kStream);
  EXPECT_EQ(stream.status, 200);
  EXPECT_NE(stream.body.find("\"error\""), std::string::npos);
  EXPECT_FALSE(stream.complete);
  Client whole(running.port());
  EXPECT_FALSE(whole.post("/v1/chat/completions", kChat).complete);
  Running quick({.text = "ab", .error = "not finite"});
  Client early(quick.port());
  EXPECT_EQ(early.post("/v1/chat/completions", kChat).status, 500) << "nothing had gone out yet";
}

TEST(HttpServer, OverloadAndLoadingSayWhenToRetry) {
  Running running({.text = "x"}, {}, {}, false);
  Client client(running.port());
  EXPECT_EQ(client.get("/health").status, 200);
  EXPECT_EQ(client.get("/ready").status, 503);
  const Reply loading = client.post("/v1/chat/completions", kChat);
  EXPECT_EQ(loading.status, 503);
  EXPECT_EQ(loading.headers.at("retry-after"), "1");
  running.load();
  EXPECT_EQ(client.get("/ready").status, 200);
  running.generator().refuse = true;
  const Reply refused = client.post("/v1/chat/completions", kChat);
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
}

TEST(HttpServer, StopLetsWhatRunsEnd) {
  HttpOptions http;
  http.drain_time = 20s;
  Running running({.text = "abcdef", .step = std::chrono::microseconds(50000)}, http);
  Client idle(running.port()), busy(running.port());
  EXPECT_EQ(idle.get("/health").status, 200);
  busy.start_post("/v1/chat/completions", kStream);
  EXPECT_TRUE(busy.receive_until("\"a\""));
  running.server().stop();
  EXPECT_TRUE(idle.closed());
  const Reply reply = busy.read();
  EXPECT_TRUE(reply.complete);
  EXPECT_TRUE(reply.body.ends_with("data: [DONE]\n\n"));
  EXPECT_TRUE(busy.closed());
  running.join();
  EXPECT_FALSE(Client(running.port()).connected());
}

TEST(HttpServer, WhatDoesNotEndInTimeIsCutOff) {
  HttpOptions http;
  http.drain_time = 100ms;
  Running running({.text = "abc", .endless = true}, http);
  Client client(running.port());
  client.start_post("/v1/chat/completions", kStream);
  EXPECT_TRUE(client.receive_until("\"c\""));
  running.server().stop();
  EXPECT_FALSE(client.read().complete);
  running.join();
}

TEST(HttpServer, SlowSendersAreDroppedAndDelayNobody) {
  HttpOptions http;
  http.header_time = 300ms;
  http.body_time = 300ms;
  http.idle_time = 300ms;
  Running running({.text = "x"}, http);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 50; ++i) {
    slow.push_back(std::make_unique<Client>(running.port()));
    if (i % 3 == 1) slow.back()->send("GET /health HTTP/1.1\r\nHo");
    if (i % 3 == 2) slow.back()->send("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{");
  }
  Client client(running.port());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(client.post("/v1/chat/completions", kChat).status, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  for (auto& one : slow) EXPECT_TRUE(one->closed());
}

TEST(HttpServer, AHundredStreamsAndAThousandIdleConnections) {
  struct rlimit files {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max < 2500) GTEST_SKIP() << "the system allows " << files.rlim_max << " files at once";
  Running running({.text = std::string(50, 'x'), .step = std::chrono::microseconds(1000)});
  std::vector<std::unique_ptr<Client>> idle, busy;
  for (int i = 0; i < 1000; ++i) idle.push_back(std::make_unique<Client>(running.port()));
  for (int i = 0; i < 100; ++i) {
    busy.push_back(std::make_unique<Client>(running.port()));
    busy.back()->start_post("/v1/chat/completions", kStream);
  }
  for (auto& client : busy) {
    const Reply reply = client->read();
    EXPECT_TRUE(reply.complete);
    std::size_t tokens = 0;
    for (std::size_t at = 0; (at = reply.body.find("\"content\":\"x\"", at)) != std::string::npos; ++at) ++tokens;
    EXPECT_EQ(tokens, 50u);
  }
  for (auto& client : idle) EXPECT_EQ(client->get("/health").status, 200);
  Client client(running.port());
  const std::string metrics = client.get("/metrics").body;
  EXPECT_NE(metrics.find("minke_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 100\n"),
            std::string::npos);
  EXPECT_NE(metrics.find("minke_tokens_total{kind=\"output\"} 5100\n"), std::string::npos);
}

TEST(HttpServer, ManyLargeBodiesAtOnceAreBounded) {
  HttpOptions http;
  http.max_bodies_bytes = 5000;
  Running running({.text = "x"}, http);
  Client holder(running.port());
  holder.send("POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000\r\n\r\n{");
  Client other(running.port());
  EXPECT_TRUE(soon([&] {
    Client client(running.port());
    return client.post("/tokenize", R"({"content":")" + std::string(2000, 'a') + "\"}").status == 503;
  }));
  holder.close();
  EXPECT_TRUE(soon([&] {
    Client client(running.port());
    return client.post("/tokenize", R"({"content":")" + std::string(2000, 'a') + "\"}").status == 200;
  }));
}

TEST(HttpServer, APortThatIsTakenIsNamed) {
  Running running({.text = "x"});
  const test::FakeModel fake = test::fake_model({});
  App app({});
  HttpOptions options;
  options.port = running.port();
  try {
    const HttpServer second(options, app);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(error.message().find("127.0.0.1:" + std::to_string(running.port())), std::string::npos)
        << error.message();
    EXPECT_NE(error.hint().find("--port"), std::string::npos);
  }
}

TEST(HttpServer, AUnixSocketIsItsOwnersAlone) {
  const std::string path = ::testing::TempDir() + "minke-" + std::to_string(::getpid()) + ".sock";
  {
    HttpOptions http;
    http.unix_socket = path;
    Running running({.text = "x"}, http);
    struct stat found {};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
    App app({});
    EXPECT_THROW(HttpServer(http, app), base::Error) << "somebody listens there";
  }
  struct stat found {};
  EXPECT_NE(::stat(path.c_str(), &found), 0) << "removed at the end";
}

TEST(HttpServer, CrossOriginPagesThatAreAllowed) {
  Running running({.text = "x"}, {},
                  {.access = {.keys = {make_api_key("a", "secret-one")}, .cors_origins = {"https://chat.example"}}});
  Client client(running.port());
  client.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://chat.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  const Reply leave = client.read();
  EXPECT_EQ(leave.status, 200);
  EXPECT_EQ(leave.headers.at("access-control-allow-origin"), "https://chat.example");
  const Reply reply = client.post("/v1/chat/completions", kChat,
                                  "Origin: https://chat.example\r\nAuthorization: Bearer secret-one\r\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("access-control-allow-origin"), "https://chat.example");
}

}  // namespace
}  // namespace minke::server
