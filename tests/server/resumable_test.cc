#include "server/resumable.h"

#include <gtest/gtest.h>

#include "server/http_client.h"
#include "server/running.h"

namespace minke::server {
namespace {

using namespace std::chrono_literals;
using testing::Client;
using testing::Reply;
using testing::Running;
using testing::soon;

const std::string kStream = R"({"model":"fake","stream":true,"messages":[{"role":"user","content":"whale"}]})";
const std::string kWhole = R"({"model":"fake","messages":[{"role":"user","content":"whale"}]})";
const std::string kWanted = "X-Minke-Resumable: 1\r\n";
const std::string kText = "abcdefghijklmnopqrstuvwxyz";

/// Events as "NUMBER:DATA", comments left out.
std::vector<std::pair<std::uint64_t, std::string>> events_of(const std::string& body) {
  std::vector<std::pair<std::uint64_t, std::string>> events;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find("\n\n", at);
    if (end == std::string::npos) break;
    const std::string event = body.substr(at, end - at);
    at = end + 2;
    if (event.starts_with(":")) continue;
    const std::size_t data = event.find("\ndata: ");
    EXPECT_TRUE(event.starts_with("id: ") && data != std::string::npos) << event;
    events.emplace_back(std::strtoull(event.c_str() + 4, nullptr, 10), event.substr(data + 7));
  }
  return events;
}

std::string text_of(const std::string& body, std::uint64_t first) {
  std::string text;
  for (const auto& [number, data] : events_of(body)) {
    EXPECT_EQ(number, first++);
    const std::size_t at = data.find("\"content\":\"");
    if (at != std::string::npos) text += data.substr(at + 11, data.find('"', at + 11) - at - 11);
  }
  return text;
}

/// What has come of chunked events, without the chunks' sizes, up to the last whole event.
std::string unchunked(const std::string& received) {
  std::string body;
  std::size_t at = received.find("\r\n\r\n") + 4;
  while (at < received.size()) {
    const std::size_t line = received.find("\r\n", at);
    if (line == std::string::npos) break;
    const std::size_t size = std::strtoull(received.c_str() + at, nullptr, 16);
    body += received.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
  return body.substr(0, body.rfind("\n\n") + 2);
}

std::string id_in(const std::string& head) {
  const std::size_t at = head.find("X-Minke-Stream: ") + 16;
  return head.substr(at, head.find("\r\n", at) - at);
}

TEST(Resumable, WhoWasCutOffGetsTheRest) {
  Running running({.text = kText, .step = 20ms});
  std::string id, before;
  {
    Client client(running.port());
    client.start_post("/v1/chat/completions", kStream, kWanted);
    ASSERT_TRUE(client.receive_until("\"content\":\"e\""));
    id = id_in(client.received());
    before = unchunked(client.received());
  }
  EXPECT_EQ(id.size(), std::string("stream_").size() + 32);
  const std::uint64_t last = events_of(before).back().first;
  Client client(running.port());
  const Reply rest = client.get("/v1/streams/" + id, "Last-Event-ID: " + std::to_string(last) + "\r\n");
  EXPECT_EQ(rest.status, 200);
  EXPECT_TRUE(rest.complete);
  EXPECT_EQ(rest.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(text_of(before, 1) + text_of(rest.body, last + 1), kText);
  EXPECT_TRUE(rest.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(running.generator().cancelled(), 0u);
  // It has ended, and can be had again: the end may have been lost as well.
  EXPECT_EQ(text_of(client.get("/v1/streams/" + id).body, 1), kText);
  const std::string metrics = client.get("/metrics").body;
  EXPECT_NE(metrics.find("minke_tokens_total{kind=\"output\"} 27\n"), std::string::npos) << "counted once: " << metrics;
}

TEST(Resumable, OnlyWithItsIdByItsOwnerAndAsFarAsItGoes) {
  Running running({.text = kText}, {},
                  {.access = {.keys = {make_api_key("alice", "secret-one"), make_api_key("bob", "secret-two")}}});
  const std::string alice = "Authorization: Bearer secret-one\r\n", bob = "Authorization: Bearer secret-two\r\n";
  Client client(running.port());
  const Reply stream = client.post("/v1/chat/completions", kStream, alice + kWanted);
  ASSERT_TRUE(stream.complete);
  const std::string path = "/v1/streams/" + stream.headers.at("x-minke-stream");
  const std::uint64_t end = events_of(stream.body).back().first;
  EXPECT_EQ(client.get(path, bob).status, 404);
  EXPECT_EQ(client.get("/v1/streams/stream_0", alice).status, 404);
  for (const char* wrong : {"x", "-1", "1a", "99999999999999999999999", "18446744073709551615"})
    EXPECT_EQ(client.get(path, alice + "Last-Event-ID: " + wrong + "\r\n").status, 400) << wrong;
  EXPECT_EQ(client.get(path, alice + "Last-Event-ID: " + std::to_string(end + 1) + "\r\n").status, 400);
  const Reply nothing = client.get(path, alice + "Last-Event-ID: " + std::to_string(end) + "\r\n");
  EXPECT_EQ(nothing.status, 200);
  EXPECT_EQ(nothing.body, "");
  EXPECT_EQ(client.post("/v1/chat/completions", kWhole, alice + kWanted).status, 400) << "no stream of events";
  EXPECT_EQ(client.post("/v1/chat/completions", kStream, alice + "X-Minke-Resumable: yes\r\n").status, 400);
  const Reply plain = client.post("/v1/chat/completions", kStream, alice);
  EXPECT_FALSE(plain.headers.contains("x-minke-stream"));
  EXPECT_EQ(plain.body.find("id: "), std::string::npos);
}

TEST(Resumable, WhatNobodyComesBackForIsCancelled) {
  Running running({.text = "abc", .endless = true}, {}, {.resumable = {.time = 500ms}});
  std::chrono::steady_clock::time_point left;
  {
    Client client(running.port());
    client.start_post("/v1/chat/completions", kStream, kWanted);
    EXPECT_TRUE(client.receive_until("\"c\""));
    left = std::chrono::steady_clock::now();
  }
  EXPECT_TRUE(soon([&] { return running.generator().cancelled() == 1; }));
  EXPECT_GE(std::chrono::steady_clock::now() - left, 500ms);
}

TEST(Resumable, WhoeverAsksLastReadsAndMayEndIt) {
  Running running({.text = "abc", .endless = true});
  Client first(running.port());
  first.start_post("/v1/chat/completions", kStream, kWanted);
  ASSERT_TRUE(first.receive_until("\"c\""));
  const std::string path = "/v1/streams/" + id_in(first.received());
  Client second(running.port());
  second.send("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: 0\r\n\r\n");
  EXPECT_TRUE(second.receive_until("\"c\""));
  EXPECT_TRUE(first.closed());
  EXPECT_FALSE(first.read().complete);
  Client other(running.port());
  other.send("DELETE " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  EXPECT_EQ(other.read().status, 200);
  EXPECT_TRUE(second.closed());
  EXPECT_TRUE(soon([&] { return running.generator().cancelled() == 1; }));
  EXPECT_EQ(other.get(path).status, 404);
}

/// A stream of as many events as it is told.
class Scripted final : public api::Stream {
 public:
  explicit Scripted(std::size_t& events) : events_(events) {}
  bool is_events() const noexcept override { return true; }
  State poll(std::string& out) override {
    for (; sent_ < events_; ++sent_) out += "data: " + std::to_string(sent_ + 1) + "\n\n";
    return State::waiting;
  }
  void keep_alive(std::string& /*out*/) const override {}
  const std::optional<api::ApiError>& error() const noexcept override { return error_; }
  const api::Spent& spent() const noexcept override { return spent_; }
  double estimated_wait() const noexcept override { return 0; }

 private:
  std::size_t& events_;
  std::size_t sent_ = 0;
  std::optional<api::ApiError> error_;
  api::Spent spent_{.prompt_tokens = 7};
};

class Streams : public ::testing::Test {
 protected:
  std::unique_ptr<api::Stream> add(const std::string& who) {
    return streams_.add(who, std::make_unique<Scripted>(events_),
                        std::make_shared<ResumableStreams::Waker>([this] { ++woken_; }));
  }
  static std::string poll(api::Stream& stream) {
    std::string out;
    stream.poll(out);
    return out;
  }

  std::size_t events_ = 0, woken_ = 0;
  ResumableStreams::Clock::time_point now_{1h};
  ResumableStreams streams_{{.streams = 4, .each = 2, .bytes = 100, .time = 10s}, [this] { return now_; }};
};

TEST_F(Streams, OnlyTheLastEventsAreKept) {
  auto stream = add("a");
  const std::string id(stream->resume_id());
  events_ = 50;
  EXPECT_TRUE(poll(*stream).ends_with("id: 50\ndata: 50\n\n"));
  stream.reset();
  EXPECT_THROW(streams_.resume("a", id, 10, [] {}), api::ApiError) << "sent, and no longer kept";
  EXPECT_EQ(poll(*streams_.resume("a", id, 49, [] {})), "id: 50\ndata: 50\n\n");
  // What was not sent is never dropped: it is not even asked for.
  events_ = 200;
  EXPECT_TRUE(streams_.tick().empty());
  EXPECT_TRUE(streams_.tick().empty());
  const std::string rest = poll(*streams_.resume("a", id, 50, [] {}));
  EXPECT_TRUE(rest.starts_with("id: 51\n") && rest.ends_with("id: 200\ndata: 200\n\n"));
}

TEST_F(Streams, AreBounded) {
  auto a1 = add("a"), a2 = add("a"), b1 = add("b"), b2 = add("b");
  EXPECT_THROW(add("a"), api::ApiError) << "all of its own are read";
  EXPECT_THROW(add("c"), api::ApiError);
  const std::string id(a1->resume_id());
  a1.reset();
  EXPECT_THROW(add("c"), api::ApiError) << "another's";
  a1 = add("a");
  EXPECT_THROW(streams_.resume("a", id, 0, [] {}), api::ApiError) << "gave way";
  EXPECT_EQ(streams_.tick().at(0).spent.prompt_tokens, 7u);
  b1.reset();
  now_ += 9s;
  EXPECT_TRUE(streams_.tick().empty());
  now_ += 1s;
  EXPECT_EQ(streams_.tick().size(), 1u) << "nobody came back";
  EXPECT_TRUE(streams_.tick().empty());
  auto c = add("c");
  EXPECT_EQ(poll(*c), "");
}

TEST_F(Streams, TheReaderOfNowIsWoken) {
  auto waker = std::make_shared<ResumableStreams::Waker>([this] { ++woken_; });
  auto stream = streams_.add("a", std::make_unique<Scripted>(events_), waker);
  const std::string id(stream->resume_id());
  waker->wake();
  EXPECT_EQ(woken_, 1u);
  std::size_t other = 0;
  auto second = streams_.resume("a", id, 0, [&] { ++other; });
  EXPECT_EQ(woken_, 2u) << "to learn that it reads no more";
  std::string out;
  EXPECT_EQ(stream->poll(out), api::Stream::State::broken);
  EXPECT_TRUE(stream->error().has_value());
  stream.reset();
  waker->wake();
  EXPECT_EQ(other, 1u);
  second.reset();
  waker->wake();
  EXPECT_EQ(other, 1u);
}

}  // namespace
}  // namespace minke::server
