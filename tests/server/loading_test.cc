// Requests whose model is not loaded, over HTTP, with a source that loads a stand-in when the test lets it.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "api/model_pool.h"
#include "api/service.h"
#include "formats/json.h"
#include "server/app.h"
#include "server/http_client.h"
#include "server/http_server.h"
#include "support/fake_model.h"

namespace minke::server {
namespace {

using namespace std::chrono_literals;
using testing::Client;
using testing::Reply;

/// "fake", whose load waits for open(); and "broken", whose load fails then.
class GatedSource final : public api::ModelSource {
 public:
  std::vector<api::Offer> offers() const override { return {find("fake").value(), find("broken").value()}; }
  std::optional<api::Offer> find(std::string_view name) const override {
    if (name != "fake" && name != "broken") return std::nullopt;
    return api::Offer{.name = std::string(name), .aliases = {}, .bytes = 7, .modified = 1700000000};
  }
  api::OfferDetails details(const std::string& /*name*/) const override {
    return {.architecture = "llama", .context = 2048, .chats = true, .tools = true};
  }
  std::uint64_t available() override { return 100; }
  void check(const std::string& /*name*/, std::uint64_t /*room*/, bool /*beside*/) override {}
  api::LoadedModel load(const std::string& name, std::uint64_t /*room*/, const Progress& progress) override {
    ++loads;
    for (std::uint64_t i = 0; !gate; i = (i + 1) % 50) {
      progress(i, 100);
      std::this_thread::sleep_for(1ms);
    }
    if (name == "broken") throw base::Error(base::ErrorCode::format, "broken.gguf: it ends early");
    return {.model = test::fake_model({.text = "hello"}).model, .bytes = 50};
  }
  void unload(std::shared_ptr<const api::Model> model) override {
    model.reset();
    ++unloads;
  }

  std::atomic<bool> gate{false};
  std::atomic<int> loads{0}, unloads{0};
};

/// `quiet`: how long a response's head is held back.
HttpOptions http_options(std::chrono::milliseconds quiet) {
  HttpOptions http;
  http.port = 0;
  http.keep_alive = 20ms;
  http.quiet_start = quiet;
  return http;
}

class Loading : public ::testing::Test {
 protected:
  explicit Loading(std::chrono::milliseconds quiet = 40ms) : server_(http_options(quiet), app_) {
    app_.serve(std::make_shared<api::Service>(pool_));
    thread_ = std::thread([this] { server_.run(); });
  }
  ~Loading() override {
    source_->gate = true;
    server_.stop();
    server_.stop();
    thread_.join();
    app_.serve(nullptr);
    pool_->stop();
  }

  static AppOptions app_options(std::string& log, std::mutex& mutex) {
    AppOptions options;
    options.log = [&log, &mutex](std::string_view line) {
      const std::lock_guard lock(mutex);
      log += std::string(line) + "\n";
    };
    return options;
  }
  bool logged(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (std::chrono::steady_clock::now() < deadline) {
      const std::lock_guard lock(mutex_);
      if (log_.find(text) != std::string::npos) return true;
    }
    return false;
  }
  static std::string chat(const std::string& model, bool stream) {
    return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}],"stream":)" +
           (stream ? "true" : "false") + "}";
  }
  static double number_after(const std::string& text, const std::string& what) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << text;
    return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + what.size(), nullptr);
  }
  std::mutex mutex_;
  std::string log_;
  std::shared_ptr<GatedSource> source_ = std::make_shared<GatedSource>();
  std::shared_ptr<api::ModelPool> pool_ = std::make_shared<api::ModelPool>(source_, api::PoolOptions());
  App app_{app_options(log_, mutex_)};
  HttpServer server_;
  std::thread thread_;
};

/// However slow the machine, what ends does so while heads are held back.
class QuickLoading : public Loading {
 protected:
  QuickLoading() : Loading(60s) {}
};

TEST_F(Loading, StreamsWaitWithCommentsAndShareTheLoad) {
  Client one(server_.port()), two(server_.port()), lines(server_.port()), whole(server_.port());
  one.start_post("/v1/chat/completions", chat("fake", true));
  two.start_post("/v1/messages",
                 R"({"model":"fake","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]})");
  lines.start_post("/api/chat", chat("fake", true));
  whole.start_post("/v1/chat/completions", chat("fake", false));
  EXPECT_TRUE(one.receive_until(": keep-alive, loading fake, "));
  EXPECT_TRUE(two.receive_until(": keep-alive, loading fake, "));
  EXPECT_TRUE(lines.receive_until(R"("content":""},"done":false})"));
  EXPECT_TRUE(whole.receive_until("\r\n\r\n1\r\n\n\r\n")) << "an empty line";
  Client other(server_.port());
  const Reply ps = other.get("/api/ps");
  EXPECT_NE(ps.body.find(R"("state":"loading")"), std::string::npos) << ps.body;
  EXPECT_NE(ps.body.find("\"progress\":\"loading fake"), std::string::npos) << ps.body;
  EXPECT_NE(other.get("/health").body.find(R"("status":"ok")"), std::string::npos) << "none was named to wait for";
  source_->gate = true;
  for (Client* client : {&one, &two, &lines, &whole}) {
    const Reply reply = client->read();
    EXPECT_TRUE(reply.complete);
    EXPECT_EQ(reply.status, 200);
    EXPECT_NE(reply.body.find('h'), std::string::npos) << reply.body;
    if (client != &lines) continue;
    const double load = number_after(reply.body, "\"load_duration\":");
    EXPECT_GE(load, 20e6) << "nanoseconds: after the time of a keep-alive " << reply.body;
    EXPECT_GT(number_after(reply.body, "\"total_duration\":"), load);
  }
  EXPECT_EQ(number_after(other.post("/api/chat", chat("fake", true)).body, "\"load_duration\":"), 0) << "it was there";
  EXPECT_EQ(source_->loads, 1);
  EXPECT_TRUE(logged(R"("model":"fake")"));
}

TEST_F(QuickLoading, AQuickLoadIsAnsweredAsIfItHadBeenThere) {
  source_->gate = true;
  Client client(server_.port());
  const Reply reply = client.post("/v1/chat/completions", chat("fake", false));
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.headers.contains("content-length"));
  EXPECT_NE(reply.body.find("hello"), std::string::npos);
  EXPECT_EQ(client.post("/tokenize", R"({"model":"fake","content":"abc"})").body.find("{\"tokens\":[97,98,99]"), 0U);
  EXPECT_EQ(source_->loads, 1);
}

TEST_F(QuickLoading, AFailureHasItsStatusWhileThereIsTime) {
  source_->gate = true;
  Client client(server_.port());
  for (const bool stream : {false, true}) {
    const Reply reply = client.post("/v1/chat/completions", chat("broken", stream));
    EXPECT_EQ(reply.status, 500);
    EXPECT_TRUE(reply.complete);
    EXPECT_NE(reply.body.find("broken.gguf: it ends early"), std::string::npos) << reply.body;
  }
}

TEST_F(Loading, LaterItIsAnEventAndTheStreamDoesNotEndInOrder) {
  Client events(server_.port()), named(server_.port()), lines(server_.port());
  events.start_post("/v1/chat/completions", chat("broken", true));
  named.start_post("/v1/responses", R"({"model":"broken","input":"hi","stream":true})");
  lines.start_post("/api/chat", chat("broken", true));
  for (Client* client : {&events, &named, &lines}) EXPECT_TRUE(client->receive_until("\r\n\r\n"));
  source_->gate = true;
  for (Client* client : {&events, &named, &lines}) {
    const Reply reply = client->read();
    EXPECT_EQ(reply.status, 200);
    EXPECT_FALSE(reply.complete);
    EXPECT_NE(reply.body.find("broken.gguf: it ends early"), std::string::npos) << reply.body;
  }
}

TEST_F(Loading, WhoLeavesIsNotWaitedFor) {
  {
    Client client(server_.port());
    client.start_post("/v1/chat/completions", chat("fake", true));
    EXPECT_TRUE(client.receive_until(": keep-alive, loading"));
  }
  EXPECT_TRUE(logged(R"("status":499)"));
  source_->gate = true;
  Client client(server_.port());
  EXPECT_EQ(client.post("/v1/chat/completions", chat("fake", false)).status, 200);
  EXPECT_EQ(source_->loads, 1);
}

TEST_F(Loading, AResumableStreamWaits) {
  Client client(server_.port());
  client.start_post("/v1/chat/completions", chat("fake", true), "X-Minke-Resumable: 1\r\n");
  EXPECT_TRUE(client.receive_until(": keep-alive, loading fake"));
  source_->gate = true;
  const Reply reply = client.read();
  EXPECT_TRUE(reply.complete);
  EXPECT_TRUE(reply.headers.contains("x-minke-stream"));
  EXPECT_NE(reply.body.find("id: 1\ndata: {"), std::string::npos) << reply.body;
}

TEST_F(QuickLoading, OllamasClientsLoadAndUnload) {
  source_->gate = true;
  Client client(server_.port());
  const Reply tags = client.get("/api/tags");
  EXPECT_NE(tags.body.find(R"("name":"broken")"), std::string::npos) << tags.body;
  EXPECT_NE(client.get("/v1/models").body.find(R"("loaded":false)"), std::string::npos);
  const Reply show = client.post("/api/show", R"({"model":"fake"})");
  EXPECT_NE(show.body.find(R"("llama.context_length":2048)"), std::string::npos) << show.body;
  EXPECT_EQ(source_->loads, 0) << "looking loads nothing";
  EXPECT_NE(client.post("/api/generate", R"({"model":"fake"})").body.find(R"("done_reason":"load")"),
            std::string::npos);
  EXPECT_NE(client.get("/v1/models").body.find(R"("loaded":true)"), std::string::npos);
  const Reply stop = client.post("/api/generate", R"({"model":"fake","keep_alive":0})");
  EXPECT_NE(stop.body.find(R"("done_reason":"unload")"), std::string::npos) << stop.body;
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (source_->unloads == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(source_->unloads, 1);
  EXPECT_EQ(client.get("/api/ps").body, R"({"models":[]})");
  EXPECT_EQ(client.post("/api/chat", R"({"model":"fake","keep_alive":"soon"})").status, 400);
  EXPECT_EQ(client.post("/api/chat", chat("nobody", true)).status, 404);
  EXPECT_EQ(client.post("/chat/completions", chat("nobody", true)).status, 400);
  const Reply unknown = client.post("/v1/chat/completions", chat("../etc/passwd", true));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find("here, but fake, broken"), std::string::npos) << unknown.body;
}

}  // namespace
}  // namespace minke::server
