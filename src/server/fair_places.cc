#include "server/fair_places.h"

#include <algorithm>

namespace minke::server {
namespace {

/// Somebody who was refused and has not come again for so long has given up.
constexpr std::chrono::seconds kPatience(5);
/// Of the last interval in the mean: replies differ much in length, so that some ten of them count.
constexpr double kNewest = 0.1;

}  // namespace

FairPlaces::Entry FairPlaces::enter(const std::string& identity) {
  const Clock::time_point now = now_();
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[identity];
  if (crowded() || others_wait(identity, now)) {
    account.refused = now;  // counted among those who want in
    const std::size_t share = std::max<std::size_t>(places_ / backlogged(now), 1);
    const bool full = inside_ >= places_;
    if (full || account.inside >= share) {
      ++refused_;
      return {.ticket = nullptr, .full = full, .retry_seconds = pace_ * static_cast<double>(refused_)};
    }
  }
  account.refused = {};
  ++account.inside;
  ++inside_;
  return {.ticket = std::make_unique<Ticket>(*this, identity)};
}

bool FairPlaces::others_wait(const std::string& identity, Clock::time_point now) const {
  return std::any_of(accounts_.begin(), accounts_.end(), [&](const auto& entry) {
    const Account& account = entry.second;
    return account.refused != Clock::time_point() && now - account.refused <= kPatience && entry.first != identity;
  });
}

/// Drops the accounts of those who are gone.
std::size_t FairPlaces::backlogged(Clock::time_point now) {
  std::erase_if(accounts_, [&](const auto& entry) {
    return entry.second.inside == 0 &&
           (entry.second.refused == Clock::time_point() || now - entry.second.refused > kPatience);
  });
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
