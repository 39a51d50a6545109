#include "server/fair_places.h"

#include <vector>

#include <gtest/gtest.h>

namespace minke::server {
namespace {

using Tickets = std::vector<std::unique_ptr<FairPlaces::Ticket>>;

std::size_t enter(FairPlaces& places, const std::string& who, std::size_t times, Tickets& tickets,
                  FairPlaces::Clock::time_point now) {
  std::size_t entered = 0;
  for (std::size_t i = 0; i < times; ++i) {
    if (auto ticket = places.enter(who, now)) {
      tickets.push_back(std::move(ticket));
      ++entered;
    }
  }
  return entered;
}

TEST(FairPlaces, OneAloneHasAllPlaces) {
  FairPlaces places(10);
  Tickets tickets;
  const auto now = FairPlaces::Clock::now();
  EXPECT_EQ(enter(places, "a", 20, tickets, now), 10u);
  tickets.clear();
  EXPECT_EQ(enter(places, "a", 20, tickets, now), 10u) << "places are given back";
}

TEST(FairPlaces, WithoutALimitEverybodyIsLetIn) {
  FairPlaces places(0);
  Tickets tickets;
  EXPECT_EQ(enter(places, "a", 1000, tickets, FairPlaces::Clock::now()), 1000u);
}

TEST(FairPlaces, WhoAsksMostOftenGetsNoMoreThanTheOthers) {
  FairPlaces places(8);
  Tickets a, b;
  const auto now = FairPlaces::Clock::now();
  EXPECT_EQ(enter(places, "a", 100, a, now), 8u);
  EXPECT_EQ(enter(places, "b", 1, b, now), 0u) << "full; but from now on b wants in";
  a.erase(a.begin());
  EXPECT_EQ(enter(places, "a", 100, a, now), 0u) << "has more than its half";
  EXPECT_EQ(enter(places, "b", 1, b, now), 1u);
  a.resize(3);
  EXPECT_EQ(enter(places, "b", 100, b, now), 3u);
  EXPECT_EQ(enter(places, "a", 100, a, now), 1u);
}

TEST(FairPlaces, WhoHasGivenUpIsForgotten) {
  FairPlaces places(4);
  Tickets a, b;
  const auto now = FairPlaces::Clock::now();
  enter(places, "a", 4, a, now);
  EXPECT_EQ(enter(places, "b", 1, b, now), 0u);
  a.resize(3);
  EXPECT_EQ(enter(places, "a", 1, a, now), 0u);
  EXPECT_EQ(enter(places, "a", 1, a, now + std::chrono::seconds(10)), 1u);
}

}  // namespace
}  // namespace minke::server
