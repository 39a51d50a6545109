#include "server/fair_places.h"

#include <algorithm>

namespace minke::server {
namespace {

/// Somebody who was refused and has not come again for so long has given up.
constexpr std::chrono::seconds kPatience(5);

}  // namespace

std::unique_ptr<FairPlaces::Ticket> FairPlaces::enter(const std::string& identity, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[identity];
  if (places_ > 0 && inside_ >= (places_ + 1) / 2) {
    account.refused = now;  // counted among those who want in
    const std::size_t share = std::max<std::size_t>(places_ / backlogged(now), 1);
    if (inside_ >= places_ || account.inside >= share) return nullptr;
  }
  account.refused = {};
  ++account.inside;
  ++inside_;
  return std::make_unique<Ticket>(*this, identity);
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
  const std::lock_guard lock(mutex_);
  --accounts_[identity].inside;
  --inside_;
}

}  // namespace minke::server
