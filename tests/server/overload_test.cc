// Four times as many clients as there are places, in simulated time: the server's FairPlaces before the engine's
// FairQueue, and clients that come again when they are told, or sooner.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fair_queue.h"
#include "server/fair_places.h"

namespace minke::server {
namespace {

using std::chrono::milliseconds;
using Time = FairPlaces::Clock::time_point;

struct Key {
  std::string name;
  std::size_t clients = 1;
  std::size_t tokens = 16;  ///< of a reply
};

struct Load {
  std::vector<Key> keys;
  std::size_t at_once = 2, places = 12;
  bool listens = true;  ///< comes again when it is told, else 50 ms after
  std::size_t prompt = 45;
  std::chrono::seconds length{60};
};

struct Told {
  std::size_t refused = 0;
  double longest = 0;  ///< seconds
};

class Simulation {
 public:
  explicit Simulation(Load load)
      : load_(std::move(load)), places_({.places = load_.places, .at_once = load_.at_once}, [this] { return now_; }) {}

  void run() {
    for (std::size_t key = 0; key < load_.keys.size(); ++key)
      for (std::size_t i = 0; i < load_.keys[key].clients; ++i) arrivals_.emplace(now_ + jitter(), key);
    const Time end = now_ + load_.length;
    while (now_ < end) {
      while (!arrivals_.empty() && arrivals_.begin()->first <= now_) {
        const std::size_t key = arrivals_.begin()->second;
        arrivals_.erase(arrivals_.begin());
        arrive(key);
      }
      step();
    }
  }

  /// Jain's index of what was computed for each key.
  double jain() const {
    double sum = 0, squares = 0;
    for (const auto& [key, tokens] : computed_) {
      sum += tokens;
      squares += tokens * tokens;
    }
    return sum * sum / (static_cast<double>(load_.keys.size()) * squares);
  }
  const Told& told() const { return told_; }
  std::size_t idle_steps() const { return idle_; }
  std::size_t steps() const { return steps_; }
  std::string shares() const {
    std::string text;
    for (const auto& [key, tokens] : computed_) text += load_.keys[key].name + " " + std::to_string(tokens) + ", ";
    return text;
  }

 private:
  struct Reply {
    std::size_t key = 0, left = 0;
    engine::AccountId account = 0;
    std::unique_ptr<FairPlaces::Ticket> ticket;
  };

  milliseconds jitter() { return milliseconds(1 + random_() % 4); }

  void arrive(std::size_t who) {
    const Key& key = load_.keys[who];
    FairPlaces::Entry entry = places_.enter(key.name);
    if (!entry.ticket) {
      ++told_.refused;
      told_.longest = std::max(told_.longest, entry.retry_seconds);
      // Retry-After has whole seconds.
      const auto wait = std::chrono::seconds(std::max(1, static_cast<int>(std::ceil(entry.retry_seconds))));
      arrivals_.emplace(load_.listens ? now_ + wait + jitter() : now_ + milliseconds(50) + jitter(), who);
      return;
    }
    const engine::AccountId account = queue_.open(key.name);
    const std::uint64_t id = ++last_id_;
    queue_.push({.id = id, .account = account, .since = static_cast<double>(id)});
    waiting_[id] = {.key = who, .left = key.tokens, .account = account, .ticket = std::move(entry.ticket)};
  }

  /// 10 ms: a token of each reply.
  void step() {
    while (running_.size() < load_.at_once) {
      const engine::Waiting* next = queue_.next(0);
      if (next == nullptr) break;
      const std::uint64_t id = next->id;
      queue_.remove(id);
      running_.push_back(std::move(waiting_.at(id)));
      waiting_.erase(id);
      charge(running_.back(), load_.prompt);
    }
    now_ += milliseconds(10);
    ++steps_;
    if (running_.size() < load_.at_once) ++idle_;
    for (auto reply = running_.begin(); reply != running_.end();) {
      charge(*reply, 1);
      if (--reply->left > 0) {
        ++reply;
        continue;
      }
      queue_.close(reply->account);
      arrivals_.emplace(now_ + jitter(), reply->key);
      reply = running_.erase(reply);
    }
  }

  void charge(const Reply& reply, std::size_t tokens) {
    queue_.charge(reply.account, tokens);
    computed_[reply.key] += static_cast<double>(tokens);
  }

  const Load load_;
  Time now_{std::chrono::hours(1)};
  FairPlaces places_;
  engine::FairQueue queue_;
  std::mt19937 random_{7};
  std::multimap<Time, std::size_t> arrivals_;  ///< keys, by index
  std::map<std::uint64_t, Reply> waiting_;
  std::vector<Reply> running_;
  std::map<std::size_t, double> computed_;
  std::uint64_t last_id_ = 0;
  std::size_t steps_ = 0, idle_ = 0;
  Told told_;
};

void expect_fair(const Load& load) {
  Simulation simulation(load);
  simulation.run();
  EXPECT_GT(simulation.told().refused, 0u);
  EXPECT_GE(simulation.jain(), 0.98) << simulation.shares();
  // All at once at the beginning; then there is always somebody.
  EXPECT_LE(simulation.idle_steps() * 100, simulation.steps());
}

std::vector<Key> keys(const std::vector<std::size_t>& clients, const std::vector<std::size_t>& tokens) {
  std::vector<Key> made;
  for (std::size_t i = 0; i < clients.size(); ++i)
    made.push_back({.name = "key " + std::to_string(i), .clients = clients[i], .tokens = tokens[i % tokens.size()]});
  return made;
}

TEST(Overload, KeysAreServedAlikeWhenTheirClientsListen) { expect_fair({.keys = keys({24, 12, 6, 6}, {16})}); }

TEST(Overload, KeysAreServedAlikeWhenTheirClientsDoNotListen) {
  expect_fair({.keys = keys({24, 12, 6, 6}, {16}), .listens = false});
}

TEST(Overload, KeysAreServedAlikeWhateverTheirReplies) {
  for (const bool listens : {true, false}) {
    expect_fair(
        {.keys = keys({24, 12, 6, 6}, {8, 16, 64, 200}), .listens = listens, .length = std::chrono::minutes(3)});
    expect_fair(
        {.keys = keys({24, 12, 6, 6}, {200, 64, 16, 8}), .listens = listens, .length = std::chrono::minutes(3)});
  }
}

/// They have nothing waiting whenever one of their replies has ended.
TEST(Overload, OneClientOfAKeyGetsAsMuchAsManyOfAnother) {
  for (const bool listens : {true, false})
    expect_fair({.keys = keys({45, 1, 1, 1}, {16}), .listens = listens, .length = std::chrono::minutes(2)});
}

TEST(Overload, MoreKeysThanAreServedAtOnce) {
  expect_fair({.keys = keys(std::vector<std::size_t>(40, 27), {30, 50, 70}),
               .at_once = 16,
               .places = 272,
               .length = std::chrono::minutes(4)});
}

/// The key with most clients has 21 outside, and each 0.32 s one of its three places becomes free.
TEST(Overload, WhatIsToldIsHowLongItTakes) {
  Simulation simulation({.keys = keys({24, 12, 6, 6}, {16}), .length = std::chrono::minutes(2)});
  simulation.run();
  EXPECT_GT(simulation.told().longest, 3);
  EXPECT_LT(simulation.told().longest, 12);
}

}  // namespace
}  // namespace minke::server
