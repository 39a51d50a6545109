#include "server/fair_places.h"

#include <algorithm>

namespace minke::server {
namespace {

/// Somebody who was refused and has not come again so long after the time that was told has given up.
constexpr std::chrono::seconds kPatience(5);
/// For nobody is a place kept longer, whatever was told.
constexpr double kLongestWait = 60;
/// Of the last interval in the mean: replies differ much in length, so that some ten of them count.
constexpr double kNewest = 0.1;

}  // namespace

FairPlaces::Entry FairPlaces::enter(const std::string& identity) {
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[identity];
  if (crowded() || others_wait(identity, now)) {
    account.awaited = now + kPatience;  // counted among those who want in
    const std::size_t share = std::max<std::size_t>(places_ / backlogged(now), 1);
    const bool full = inside_ >= places_;
    if (full || account.inside >= share) {
      ++refused_;
      const double retry = pace_ * static_cast<double>(refused_);
      account.awaited +=
          std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::min(retry, kLongestWait)));
      return {.ticket = nullptr, .full = full, .retry_seconds = retry};
    }
  }
  account.awaited = {};
  ++account.inside;
  ++inside_;
  return {.ticket = std::make_unique<Ticket>(*this, identity)};
}

bool FairPlaces::others_wait(const std::string& identity, Clock::time_point now) const {
  return std::any_of(accounts_.begin(), accounts_.end(),
                     [&](const auto& entry) { return entry.second.awaited >= now && entry.first != identity; });
}

/// Drops the accounts of those who are gone.
std::size_t FairPlaces::backlogged(Clock::time_point now) {
  std::erase_if(accounts_, [&](const auto& entry) { return entry.second.inside == 0 && entry.second.awaited < now; });
  return accounts_.size();
}

void FairPlaces::leave(const std::string& identity) {
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  if (!crowded() && refused_ == 0) {
    last_left_ = {};
  } else {
    if (last_left_ != Clock::time_point()) {
      const double interval = std::chrono::duration<double>(now - last_left_).count();
      pace_ = pace_ == 0 ? interval : pace_ + kNewest * (interval - pace_);
    }
    last_left_ = now;
    if (refused_ > 0) --refused_;
  }
  --accounts_[identity].inside;
  --inside_;
}

}  // namespace minke::server
