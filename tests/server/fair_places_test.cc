#include "server/fair_places.h"

#include <vector>

#include <gtest/gtest.h>

namespace minke::server {
namespace {

using Tickets = std::vector<std::unique_ptr<FairPlaces::Ticket>>;

std::size_t enter(FairPlaces& places, const std::string& who, std::size_t times, Tickets& tickets) {
  std::size_t entered = 0;
  for (std::size_t i = 0; i < times; ++i) {
    if (auto entry = places.enter(who); entry.ticket) {
      tickets.push_back(std::move(entry.ticket));
      ++entered;
    }
  }
  return entered;
}

TEST(FairPlaces, OneAloneHasAllPlaces) {
  FairPlaces places({.places = 10});
  Tickets tickets;
  EXPECT_EQ(enter(places, "a", 20, tickets), 10u);
  tickets.clear();
  EXPECT_EQ(enter(places, "a", 20, tickets), 10u) << "places are given back";
}

TEST(FairPlaces, WithoutALimitEverybodyIsLetIn) {
  FairPlaces places({.places = 0});
  Tickets tickets;
  EXPECT_EQ(enter(places, "a", 1000, tickets), 1000u);
}

TEST(FairPlaces, WhoAsksMostOftenGetsNoMoreThanTheOthers) {
  FairPlaces places({.places = 8});
  Tickets a, b;
  EXPECT_EQ(enter(places, "a", 100, a), 8u);
  EXPECT_EQ(enter(places, "b", 1, b), 0u) << "full; but from now on b wants in";
  a.erase(a.begin());
  EXPECT_EQ(enter(places, "a", 100, a), 0u) << "has more than its half";
  EXPECT_EQ(enter(places, "b", 1, b), 1u);
  a.resize(3);
  EXPECT_EQ(enter(places, "b", 100, b), 3u);
  EXPECT_EQ(enter(places, "a", 100, a), 1u);
}

/// Replies that end together leave more places than half: still those who were refused come first.
TEST(FairPlaces, FreePlacesAreKeptForThoseWhoWereRefused) {
  FairPlaces places({.places = 4});
  Tickets a, b;
  EXPECT_EQ(enter(places, "a", 4, a), 4u);
  EXPECT_EQ(enter(places, "b", 1, b), 0u);
  a.clear();
  EXPECT_EQ(enter(places, "a", 4, a), 2u) << "the other half is b's";
  EXPECT_EQ(enter(places, "b", 4, b), 2u);
}

TEST(FairPlaces, WhoIsRefusedIsToldWhenToComeBack) {
  FairPlaces::Clock::time_point now{std::chrono::hours(1)};
  FairPlaces places({.places = 4}, [&] { return now; });
  Tickets tickets;
  enter(places, "a", 4, tickets);
  EXPECT_TRUE(places.enter("a").full);
  EXPECT_EQ(places.enter("a").retry_seconds, 0) << "nobody has left yet";
  // A place each two seconds, taken again at once.
  for (int i = 0; i < 4; ++i) {
    now += std::chrono::seconds(2);
    tickets.erase(tickets.begin());
    EXPECT_EQ(enter(places, "a", 1, tickets), 1u);
  }
  EXPECT_NEAR(places.enter("a").retry_seconds, 2, 1e-9);
  EXPECT_NEAR(places.enter("a").retry_seconds, 4, 1e-9) << "behind the one before";
  const FairPlaces::Entry other = places.enter("b");
  EXPECT_TRUE(other.full);
  tickets.erase(tickets.begin());
  const FairPlaces::Entry share = places.enter("a");
  EXPECT_FALSE(share.full) << "there is a place, but it is b's";
  EXPECT_EQ(share.ticket, nullptr);
}

/// A client that keeps to the time it was told finds its share, however long that is.
TEST(FairPlaces, WhoIsToldToComeBackLateIsAwaited) {
  FairPlaces::Clock::time_point now{std::chrono::hours(1)};
  FairPlaces places({.places = 4}, [&] { return now; });
  Tickets a, b;
  enter(places, "a", 4, a);
  EXPECT_TRUE(places.enter("a").full);
  for (int i = 0; i < 4; ++i) {
    now += std::chrono::seconds(20);
    a.erase(a.begin());
    EXPECT_EQ(enter(places, "a", 1, a), 1u);
  }
  const double told = places.enter("b").retry_seconds;
  EXPECT_GT(told, 10);
  now += std::chrono::seconds(static_cast<int>(told));
  a.erase(a.begin());
  EXPECT_EQ(enter(places, "a", 1, a), 0u) << "the place is b's";
  EXPECT_EQ(enter(places, "b", 1, b), 1u);
}

/// Who does not listen makes its own wait longer, and that not without end.
TEST(FairPlaces, OthersRefusalsCountForNobody) {
  FairPlaces::Clock::time_point now{std::chrono::hours(1)};
  FairPlaces places({.places = 4}, [&] { return now; });
  Tickets a;
  enter(places, "a", 4, a);
  for (int i = 0; i < 4; ++i) {
    now += std::chrono::seconds(1);
    a.erase(a.begin());
    EXPECT_EQ(enter(places, "a", 1, a), 1u);
  }
  for (int i = 0; i < 1000; ++i) EXPECT_LE(places.enter("a").retry_seconds, 32) << "eight times what is inside";
  EXPECT_NEAR(places.enter("b").retry_seconds, 2, 1e-9) << "the second place that becomes free is b's";
}

TEST(FairPlaces, NothingStandsIdleForThoseWhoAreAwaited) {
  FairPlaces places({.places = 6, .at_once = 4});
  Tickets a;
  EXPECT_EQ(enter(places, "a", 6, a), 6u);
  EXPECT_TRUE(places.enter("b").full);
  a.resize(4);
  EXPECT_EQ(enter(places, "a", 1, a), 0u) << "all that can be computed is";
  a.clear();
  EXPECT_EQ(enter(places, "a", 6, a), 4u) << "more than its three places, but no more than are computed";
}

TEST(FairPlaces, WhoHasGivenUpIsForgotten) {
  FairPlaces::Clock::time_point now{std::chrono::hours(1)};
  FairPlaces places({.places = 4}, [&] { return now; });
  Tickets a, b;
  enter(places, "a", 4, a);
  EXPECT_EQ(enter(places, "b", 1, b), 0u);
  a.resize(3);
  EXPECT_EQ(enter(places, "a", 1, a), 0u);
  now += std::chrono::seconds(10);
  EXPECT_EQ(enter(places, "a", 1, a), 1u);
}

}  // namespace
}  // namespace minke::server
