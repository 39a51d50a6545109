#include "server/fair_places.h"

#include <algorithm>

namespace minke::server {
namespace {

/// Somebody who was refused and has not come again so long after the time that was told has given up.
constexpr std::chrono::seconds kPatience(5);
/// For nobody is a place kept longer, whatever was told.
constexpr double kLongestWait = 60;
/// Nobody is told to wait longer than it takes to serve so many times what has a place: who does not listen and comes
/// again and again counts as many, and must not make the others of its identity wait for that.
constexpr double kMostCrowds = 8;
/// Of the last interval in the mean: replies differ much in length, so that some ten of them count.
constexpr double kNewest = 0.1;

FairPlaces::Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<FairPlaces::Clock::duration>(std::chrono::duration<double>(seconds));
}

double seconds_of(FairPlaces::Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

FairPlaces::Entry FairPlaces::enter(const std::string& identity) {
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[identity];
  if (crowded() || anybody_waits(now, &identity)) {
    const std::size_t sharers = backlogged(identity, now);
    const std::size_t share = std::max<std::size_t>(places_ / sharers, 1);
    const bool full = inside_ >= places_;
    if (full || (account.inside >= share && inside_ >= at_once_)) {
      const double retry = book(account, sharers, now);
      account.awaited = std::max(account.awaited, now + kPatience + duration_of(std::min(retry, kLongestWait)));
      return {.ticket = nullptr, .full = full, .retry_seconds = retry};
    }
  } else {
    account.awaited = {};
  }
  ++account.inside;
  ++inside_;
  return {.ticket = std::make_unique<Ticket>(*this, identity)};
}

bool FairPlaces::anybody_waits(Clock::time_point now, const std::string* except) const {
  return places_ > 0 && std::any_of(accounts_.begin(), accounts_.end(), [&](const auto& entry) {
           return entry.second.awaited >= now && (except == nullptr || entry.first != *except);
         });
}

/// How many share the places, `identity` among them. Drops the accounts of those who are gone.
std::size_t FairPlaces::backlogged(const std::string& identity, Clock::time_point now) {
  std::erase_if(accounts_, [&](const auto& entry) {
    return entry.second.inside == 0 && entry.second.awaited < now && entry.first != identity;
  });
  return accounts_.size();
}

/// Seconds until a place should be free for one more of the account's requests; 0: not known. Of the places that become
/// free each of the `sharers` gets one in turn.
double FairPlaces::book(Account& account, std::size_t sharers, Clock::time_point now) const {
  const double most = kMostCrowds * pace_ * static_cast<double>(places_);
  const double before = std::max(0.0, seconds_of(account.free_at - now));
  const double wait = std::min(before + pace_ * static_cast<double>(sharers), most);
  account.free_at = now + duration_of(wait);
  return wait;
}

void FairPlaces::leave(const std::string& identity) {
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  if (!crowded() && !anybody_waits(now, nullptr)) {
    last_left_ = {};
  } else {
    if (last_left_ != Clock::time_point()) {
      const double interval = seconds_of(now - last_left_);
      pace_ = pace_ == 0 ? interval : pace_ + kNewest * (interval - pace_);
    }
    last_left_ = now;
  }
  --inside_;
  const auto account = accounts_.find(identity);
  if (--account->second.inside == 0 && account->second.awaited < now) accounts_.erase(account);
}

}  // namespace minke::server
