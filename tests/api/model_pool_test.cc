// Which models are in memory, with a source that loads stand-ins as a test tells it to.
#include "api/model_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/cat.h"

namespace minke::api {
namespace {

using namespace std::chrono_literals;
using base::Error;
using base::ErrorCode;
using Clock = std::chrono::steady_clock;

constexpr auto kLong = 20s;

/// Models a, b, c and "stays"; each takes as many bytes as the test says, of a machine that has `memory`.
class FakeSource final : public ModelSource {
 public:
  std::vector<Offer> offers() const override {
    std::vector<Offer> all;
    for (const char* name : {"a", "b", "c", "stays"}) all.push_back(*find(name));
    return all;
  }
  std::optional<Offer> find(std::string_view name) const override {
    if (name != "a" && name != "b" && name != "c" && name != "stays") return std::nullopt;
    return Offer{.name = std::string(name), .aliases = {}, .bytes = 1, .modified = 1, .stays = name == "stays"};
  }
  OfferDetails details(const std::string& /*name*/) const override { return {}; }
  std::uint64_t available() override {
    const std::lock_guard lock(mutex_);
    return memory - used_;
  }
  void check(const std::string& name, std::uint64_t room, bool /*beside*/) override {
    const std::lock_guard lock(mutex_);
    if (need(name) > room) throw Error(ErrorCode::out_of_memory, base::cat(name, " needs ", need(name)));
  }
  LoadedModel load(const std::string& name, std::uint64_t room, const Progress& progress) override {
    std::unique_lock lock(mutex_);
    if (need(name) > room) throw Error(ErrorCode::out_of_memory, base::cat(name, " needs ", need(name)));
    log.push_back("load " + name);
    EXPECT_EQ(alive_.count(name), 0U) << "two of " << name;
    reached_.notify_all();
    // As long as the test holds loads back, some progress is made, which may be told to end.
    while (held_) {
      lock.unlock();
      progress(4300, 10000);
      std::this_thread::sleep_for(1ms);
      lock.lock();
    }
    if (broken == name) throw Error(ErrorCode::format, name + ": tensor 'x' ends early");
    auto model = std::make_shared<Model>();
    model->name = name;
    used_ += need(name);
    alive_[name] = model;
    EXPECT_LE(used_, memory);
    return {.model = std::move(model), .bytes = need(name)};
  }
  void unload(std::shared_ptr<const Model> model) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(model.use_count(), 1) << "somebody uses " << model->name;
    log.push_back("unload " + model->name);
    used_ -= need(model->name);
    alive_.erase(model->name);
    reached_.notify_all();
  }

  void hold_loads(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
  }
  /// Until the log has so many lines.
  bool wait_for(std::size_t lines) {
    std::unique_lock lock(mutex_);
    return reached_.wait_for(lock, kLong, [&] { return log.size() >= lines; });
  }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return log;
  }

  std::uint64_t memory = 100;
  std::map<std::string, std::uint64_t> needs;  ///< 40 where nothing is said
  std::string broken;
  std::vector<std::string> log;

 private:
  std::uint64_t need(const std::string& name) const {
    const auto found = needs.find(name);
    return found == needs.end() ? 40 : found->second;
  }

  std::mutex mutex_;
  std::condition_variable reached_;
  std::map<std::string, std::weak_ptr<const Model>> alive_;
  std::uint64_t used_ = 0;
  bool held_ = false;
};

class Pool : public ::testing::Test {
 protected:
  void start(PoolOptions options = {}) {
    options.now = [this] {
      const std::lock_guard lock(clock_);
      return now_;
    };
    pool_ = std::make_unique<ModelPool>(source_, options);
  }
  void TearDown() override {
    source_->hold_loads(false);
    if (pool_) pool_->stop();
  }

  std::future<LoadOutcome> ask(const std::string& name, std::optional<IdleTime> idle = std::nullopt) {
    auto promise = std::make_shared<std::promise<LoadOutcome>>();
    auto future = promise->get_future();
    pool_->when_ready(source_->find(name).value(), idle,
                      [promise](LoadOutcome outcome) { promise->set_value(std::move(outcome)); });
    return future;
  }
  /// The model, or none and why.
  static LoadOutcome get(std::future<LoadOutcome> future) {
    if (future.wait_for(kLong) == std::future_status::ready) return future.get();
    ADD_FAILURE() << "nobody was told";
    return {};
  }
  std::shared_ptr<const Model> loaded(const std::string& name, std::optional<IdleTime> idle = std::nullopt) {
    LoadOutcome outcome = get(ask(name, idle));
    EXPECT_FALSE(outcome.error) << (outcome.error ? outcome.error->message() : "");
    return std::move(outcome.model);
  }
  void pass(std::chrono::nanoseconds time) {
    {
      const std::lock_guard lock(clock_);
      now_ += time;
    }
    pool_->look_again();
  }
  std::string states() {
    std::string text;
    for (const ModelStatus& one : pool_->status()) text += base::cat(one.offer.name, " ", to_string(one.state), ";");
    return text;
  }
  bool becomes(const std::string& wanted) {
    const auto deadline = Clock::now() + kLong;
    while (states() != wanted && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
    return states() == wanted;
  }
  using Lines = std::vector<std::string>;

  std::shared_ptr<FakeSource> source_ = std::make_shared<FakeSource>();
  std::unique_ptr<ModelPool> pool_;

 private:
  std::mutex clock_;
  Clock::time_point now_ = Clock::now();
};

TEST_F(Pool, RequestsThatComeTogetherShareALoad) {
  start();
  source_->hold_loads(true);
  std::vector<std::future<LoadOutcome>> asked;
  std::vector<std::thread> threads;
  threads.reserve(8);
  std::mutex mutex;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      EXPECT_EQ(pool_->hold("a", std::nullopt), nullptr);
      auto future = ask("a");
      const std::lock_guard lock(mutex);
      asked.push_back(std::move(future));
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(source_->wait_for(1));
  EXPECT_EQ(states(), "a loading;");
  const auto progress = pool_->status().at(0).load;
  ASSERT_TRUE(progress);
  const auto deadline = Clock::now() + kLong;
  while (progress->done == 0 && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(progress->text("a"), "loading a, 43 %");
  source_->hold_loads(false);
  std::shared_ptr<const Model> first;
  for (auto& future : asked) {
    LoadOutcome outcome = get(std::move(future));
    ASSERT_TRUE(outcome.model);
    if (!first) first = outcome.model;
    EXPECT_EQ(outcome.model.get(), first.get());
  }
  EXPECT_EQ(pool_->hold("a", std::nullopt).get(), first.get());
  EXPECT_EQ(source_->lines(), Lines{"load a"});
}

TEST_F(Pool, AFailureIsToldToAllWhoWaitAndTheNextTriesAgain) {
  start();
  source_->broken = "a";
  source_->hold_loads(true);
  auto one = ask("a"), two = ask("a");
  source_->hold_loads(false);
  for (auto* future : {&one, &two}) {
    const LoadOutcome outcome = get(std::move(*future));
    ASSERT_TRUE(outcome.error);
    EXPECT_EQ(outcome.error->message(), "a: tensor 'x' ends early");
    EXPECT_FALSE(outcome.model);
  }
  EXPECT_EQ(states(), "");
  source_->broken.clear();
  EXPECT_TRUE(loaded("a"));
}

TEST_F(Pool, WhatWasNotUsedForTheLongestTimeMakesRoom) {
  start();
  loaded("a");
  pass(1s);
  loaded("b");
  pass(1s);
  pool_->hold("a", std::nullopt);  // and lets go of it: b is older now
  loaded("c");
  EXPECT_EQ(source_->lines(), (Lines{"load a", "load b", "unload b", "load c"}));
  EXPECT_EQ(states(), "a ready;c ready;");
}

TEST_F(Pool, WhatStaysGoesAfterTheOthers) {
  start();
  loaded("stays");
  pass(1h);
  EXPECT_TRUE(becomes("stays ready;"));
  loaded("a");
  loaded("b");
  EXPECT_EQ(states(), "b ready;stays ready;");
}

TEST_F(Pool, AModelInUseEndsItsRepliesFirstAndComesBack) {
  source_->memory = 50;
  start();
  auto using_a = loaded("a");
  auto wants_b = ask("b");
  ASSERT_TRUE(becomes("a draining;b loading;"));
  EXPECT_EQ(pool_->hold("a", std::nullopt), nullptr) << "it takes no more";
  auto wants_a = ask("a");
  EXPECT_EQ(wants_b.wait_for(20ms), std::future_status::timeout);
  EXPECT_EQ(using_a->name, "a");
  using_a.reset();
  auto using_b = get(std::move(wants_b)).model;
  ASSERT_TRUE(using_b);
  EXPECT_EQ(wants_a.wait_for(20ms), std::future_status::timeout);
  using_b.reset();
  EXPECT_TRUE(get(std::move(wants_a)).model);
  EXPECT_EQ(source_->lines(), (Lines{"load a", "unload a", "load b", "unload b", "load a"}));
}

TEST_F(Pool, WhatCanNeverFitIsRefusedAndNobodyGivesWay) {
  source_->needs["c"] = 101;
  start();
  EXPECT_TRUE(get(ask("c")).error);
  loaded("a");
  loaded("b");
  const LoadOutcome outcome = get(ask("c"));
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error.value().code(), ErrorCode::out_of_memory);
  EXPECT_EQ(outcome.error.value().message(), "c needs 101");
  EXPECT_EQ(states(), "a ready;b ready;");
}

TEST_F(Pool, TheLimitOfMemoryAndOfNumber) {
  source_->memory = 1000;
  start({.max_loaded = 0, .memory = 90});
  loaded("a");
  loaded("b");
  loaded("c");
  EXPECT_EQ(states(), "b ready;c ready;");
  start({.max_loaded = 1});
  loaded("a");
  loaded("b");
  EXPECT_EQ(states(), "b ready;");
}

TEST_F(Pool, KeepAlive) {
  source_->memory = 1000;
  start();
  auto used = loaded("a");
  loaded("b");
  loaded("c", 10min);
  pass(299s);
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(states(), "a ready;b ready;c ready;");
  pass(2s);
  EXPECT_TRUE(becomes("a ready;c ready;")) << states() << " one in use stays, however long that lasts";
  pass(300s);
  EXPECT_TRUE(becomes("a ready;")) << states();
  used.reset();
  EXPECT_EQ(pool_->status().at(0).expires, std::optional<IdleTime>(5min)) << "counted from the end of its use";
  pool_->hold("a", kForever);
  pass(std::chrono::hours(1000));
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(states(), "a ready;");
  pool_->hold("a", 0s);
  EXPECT_TRUE(becomes("")) << states();
}

TEST_F(Pool, ReleaseWaitsForWhoUsesItAndForTheLoad) {
  start();
  pool_->release("a");  // is not there: nothing happens
  auto used = loaded("a");
  pool_->release("a");
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(states(), "a ready;");
  used.reset();
  EXPECT_TRUE(becomes(""));
  source_->hold_loads(true);
  auto wanted = ask("b");
  ASSERT_TRUE(source_->wait_for(3));
  pool_->release("b");
  source_->hold_loads(false);
  EXPECT_TRUE(get(std::move(wanted)).model) << "who waited has it";
  EXPECT_TRUE(becomes(""));
}

TEST_F(Pool, StoppingEndsALoadAndTellsWhoWaits) {
  start();
  auto held = loaded("a");
  source_->hold_loads(true);
  auto loading = ask("b"), queued = ask("c");
  ASSERT_TRUE(source_->wait_for(2));
  pool_->stop();
  for (auto* future : {&loading, &queued}) {
    const LoadOutcome outcome = get(std::move(*future));
    ASSERT_TRUE(outcome.error);
    EXPECT_EQ(outcome.error->message(), "the server is stopping");
  }
  EXPECT_THROW(ask("a"), Error);
  pool_.reset();
  EXPECT_EQ(held->name, "a") << "it lives as long as it is held";
}

TEST_F(Pool, TheNameForWhateverIsLoaded) {
  start();
  EXPECT_EQ(pool_->default_name(), "a") << "the first there is";
  loaded("b");
  pass(1s);
  loaded("c");
  EXPECT_EQ(pool_->default_name(), "c");
  pool_->hold("b", std::nullopt);
  pass(1s);
  pool_->hold("b", std::nullopt);
  EXPECT_EQ(pool_->default_name(), "b") << "used last";
}

TEST_F(Pool, OneModelThatIsThere) {
  auto model = std::make_shared<Model>();
  model->name = "x";
  model->aliases = {"y"};
  ModelPool pool{std::shared_ptr<const Model>(model)};
  EXPECT_EQ(pool.default_name(), "x");
  EXPECT_EQ(pool.source().find("y").value().name, "x");
  EXPECT_FALSE(pool.source().find("z"));
  EXPECT_EQ(pool.hold("x", std::nullopt).get(), model.get());
  EXPECT_FALSE(pool.status().at(0).expires) << "it stays";
  pool.release("x");
  std::promise<std::shared_ptr<const Model>> again;
  const auto deadline = Clock::now() + kLong;
  while (!pool.status().empty() && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  pool.when_ready(pool.source().find("x").value(), std::nullopt,
                  [&](const LoadOutcome& came) { again.set_value(came.model); });
  EXPECT_EQ(again.get_future().get().get(), model.get());
}

/// Threads that ask for three models of which two fit, for as long as it takes: everybody gets what was asked for, no
/// model is there twice (FakeSource looks), and memory holds.
TEST_F(Pool, ManyAtOnce) {
  start();
  constexpr int kThreads = 6, kAsks = 60;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  std::atomic<int> served{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kAsks; ++i) {
        const std::string name(1, static_cast<char>('a' + (t * 7 + i * 5 + i / 9) % 3));
        auto model = pool_->hold(name, std::nullopt);
        if (!model) model = loaded(name);
        served += model && model->name == name ? 1 : 0;
        if (i % 16 == 0) pool_->release(name);
        (void)pool_->status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, kThreads * kAsks);
}

TEST(IdleTimes, Texts) {
  const std::vector<std::pair<const char*, std::optional<IdleTime>>> cases = {{"5m", 5min},
                                                                              {"1h30m", 90min},
                                                                              {"1.5s", 1500ms},
                                                                              {"300ms", 300ms},
                                                                              {"0", 0s},
                                                                              {"90", 90s},
                                                                              {"-1", kForever},
                                                                              {"-1m", kForever},
                                                                              {"-0", 0s},
                                                                              {"99999h", kForever},
                                                                              {"", std::nullopt},
                                                                              {"m", std::nullopt},
                                                                              {"5 m", std::nullopt},
                                                                              {"1h30", std::nullopt},
                                                                              {"inf", std::nullopt},
                                                                              {"nan", std::nullopt},
                                                                              {"5d", std::nullopt},
                                                                              {"--1", std::nullopt},
                                                                              {"1e3", std::nullopt},
                                                                              {"-", std::nullopt},
                                                                              {"1e400", std::nullopt}};
  for (const auto& [text, time] : cases) EXPECT_EQ(parse_idle_time(text), time) << text;
  EXPECT_EQ(idle_time(-1), kForever);
  EXPECT_EQ(idle_time(1e300), kForever);
  EXPECT_EQ(idle_time(0.5), IdleTime(500ms));
}

}  // namespace
}  // namespace minke::api
