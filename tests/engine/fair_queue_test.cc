#include "engine/fair_queue.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

namespace minke::engine {
namespace {

/// Jain's index (Jain, Chiu & Hawe 1984): 1 when all are served alike, 1/n when one has everything.
double jain(const std::vector<double>& served) {
  double sum = 0, squares = 0;
  for (const double x : served) {
    sum += x;
    squares += x * x;
  }
  return sum * sum / (static_cast<double>(served.size()) * squares);
}

TEST(FairQueue, OneIdentityIsServedInOrder) {
  FairQueue queue;
  const AccountId account = queue.open("a");
  for (std::uint64_t id = 1; id <= 5; ++id)
    queue.push({.id = id, .account = account, .since = static_cast<double>(id)});
  for (std::uint64_t id = 1; id <= 5; ++id) {
    ASSERT_NE(queue.next(10), nullptr);
    EXPECT_EQ(queue.next(10)->id, id);
    queue.remove(id);
    queue.charge(account, 10000);
  }
  EXPECT_EQ(queue.next(10), nullptr);
}

TEST(FairQueue, ALoneRequestDoesNotWaitForAFlood) {
  FairQueue queue;
  const AccountId flood = queue.open("flood"), one = queue.open("one");
  std::uint64_t id = 0;
  for (int i = 0; i < 100; ++i) queue.push({.id = ++id, .account = flood, .since = 0});
  queue.push({.id = 1000, .account = one, .since = 1});
  int before = 0;
  while (queue.next(2)->id != 1000) {
    queue.remove(queue.next(2)->id);
    queue.charge(flood, 300);
    ASSERT_LT(++before, 4);
  }
}

// Identities that always have something waiting, with requests of very different lengths, a few running at once.
TEST(FairQueue, BackloggedIdentitiesAreServedAlike) {
  for (const std::size_t places : {1, 4, 16}) {
    std::mt19937 random(3);
    FairQueue queue;
    const std::size_t kIdentities = 8;
    struct Running {
      std::size_t who, left;
    };
    std::vector<AccountId> accounts;
    std::vector<double> served(kIdentities, 0);
    std::vector<Running> running;
    std::uint64_t id = 0;
    std::map<std::uint64_t, std::size_t> who;
    const auto refill = [&](std::size_t i) {
      who[++id] = i;
      queue.push({.id = id, .account = accounts[i], .since = static_cast<double>(id)});
    };
    for (std::size_t i = 0; i < kIdentities; ++i) {
      accounts.push_back(queue.open("identity " + std::to_string(i)));
      for (int k = 0; k < 3; ++k) refill(i);
    }
    for (int step = 0; step < 200000; ++step) {
      while (running.size() < places) {
        const std::uint64_t next = queue.next(0)->id;
        const std::size_t i = who.at(next);
        queue.remove(next);
        refill(i);
        // Prompts from 10 to 1,280 tokens, replies from 5 to 640: by identity.
        const std::size_t prompt = std::size_t{10} << i, reply = (std::size_t{5} << i) + random() % 5;
        queue.charge(accounts[i], prompt);
        served[i] += static_cast<double>(prompt);
        running.push_back({i, reply});
      }
      for (std::size_t r = 0; r < running.size();) {
        queue.charge(accounts[running[r].who], 1);
        served[running[r].who] += 1;
        if (--running[r].left == 0) {
          running.erase(running.begin() + static_cast<std::ptrdiff_t>(r));
        } else {
          ++r;
        }
      }
    }
    EXPECT_GE(jain(served), 0.95) << places << " places";
  }
}

// A server that lets in only so many of each has queues that are empty after each turn, and full again before the next.
TEST(FairQueue, IdentitiesWhoseQueuesEmptyInEachTurnAreServedAlike) {
  FairQueue queue;
  constexpr std::size_t kIdentities = 4;
  std::vector<AccountId> accounts;
  std::vector<double> served(kIdentities, 0);
  std::vector<std::size_t> waiting(kIdentities, 0);
  std::map<std::uint64_t, std::size_t> who;
  std::uint64_t id = 0;
  const auto push = [&](std::size_t i, std::size_t times) {
    for (; times > 0; --times, ++waiting[i]) {
      who[++id] = i;
      queue.push({.id = id, .account = accounts[i], .since = static_cast<double>(id)});
    }
  };
  for (std::size_t i = 0; i < kIdentities; ++i) accounts.push_back(queue.open("identity " + std::to_string(i)));
  // The first is alone for a while, and always has more to ask for.
  push(0, 20);
  for (int turn = 0; turn < 4000; ++turn) {
    const std::uint64_t next = queue.next(0)->id;
    const std::size_t i = who.at(next);
    queue.remove(next);
    --waiting[i];
    queue.charge(accounts[i], 60);
    if (turn >= 10) served[i] += 60;
    if (turn < 10) continue;
    for (std::size_t k = 0; k < kIdentities; ++k) {
      if (k == 0 && waiting[0] < 3) push(0, 1);
      if (k != 0 && k != i && waiting[k] == 0) push(k, 2);
    }
  }
  EXPECT_GE(jain(served), 0.99);
}

TEST(FairQueue, WhoComesBackStillOwesAndHasSavedNothing) {
  FairQueue queue;
  std::uint64_t id = 0;
  const auto push = [&](AccountId account) {
    queue.push({.id = ++id, .account = account, .since = static_cast<double>(id)});
    return id;
  };
  const auto serve = [&](AccountId account, std::size_t tokens) {
    const std::uint64_t next = queue.next(0)->id;
    queue.remove(next);
    queue.charge(account, tokens);
    return next;
  };
  const AccountId busy = queue.open("busy"), idle = queue.open("idle"), other = queue.open("other");
  push(busy);
  serve(busy, 500);
  queue.close(busy);
  EXPECT_EQ(queue.open("busy"), busy) << "it is remembered: others are here";
  push(busy);
  const std::uint64_t first = push(other);
  EXPECT_EQ(serve(other, 100), first) << "who was served more waits, though its last request had ended";
  // While one of the others asks for nothing, two are served thousands of tokens.
  for (int i = 0; i < 20; ++i) {
    const AccountId next = queue.next(0)->account;
    serve(next, 200);
    push(next);
    if (i == 0) push(other);
  }
  push(idle);
  push(idle);
  int in_a_row = 0;
  while (queue.next(0)->account == idle) {
    serve(idle, 200);
    push(idle);
    ASSERT_LT(++in_a_row, 4);
  }
}

TEST(FairQueue, BatchRunsAfterInteractiveUnlessItHasWaitedLong) {
  FairQueue queue({.batch_patience = 60});
  const AccountId account = queue.open("a"), other = queue.open("b");
  queue.push({.id = 1, .account = account, .priority = Priority::batch, .since = 0});
  queue.push({.id = 2, .account = other, .priority = Priority::interactive, .since = 50});
  EXPECT_EQ(queue.next(55)->id, 2u);
  queue.charge(other, 1000);
  EXPECT_EQ(queue.next(61)->id, 1u) << "patience is over, and the other was served already";
  queue.remove(2);
  EXPECT_EQ(queue.next(61)->id, 1u);
  queue.remove(1);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(FairQueue, PositionsCountTurns) {
  FairQueue queue;
  const AccountId a = queue.open("a"), b = queue.open("b");
  for (std::uint64_t id = 1; id <= 3; ++id) queue.push({.id = id, .account = a, .since = 0});
  queue.push({.id = 4, .account = b, .since = 0});
  const auto place = [&](std::uint64_t id, AccountId account) {
    return queue.position({.id = id, .account = account});
  };
  EXPECT_EQ(place(1, a), 1u);
  EXPECT_EQ(place(4, b), 2u);
  EXPECT_EQ(place(2, a), 3u);
  EXPECT_EQ(place(3, a), 4u);
}

TEST(FairQueue, AccountsThatAreClosedAreForgotten) {
  FairQueue queue;
  const AccountId first = queue.open("a");
  EXPECT_EQ(queue.open("a"), first);
  queue.close(first);
  EXPECT_EQ(queue.open("a"), first);
  queue.close(first);
  queue.close(first);
  EXPECT_EQ(queue.open("b"), first) << "its place is used again";
}

}  // namespace
}  // namespace minke::engine
