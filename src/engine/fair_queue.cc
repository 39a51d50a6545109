#include "engine/fair_queue.h"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace minke::engine {
namespace {

/// Identities that owe something, were others to come, and are gone.
constexpr std::size_t kMostRemembered = 4096;

}  // namespace

AccountId FairQueue::open(const std::string& identity) {
  const auto found = by_identity_.find(identity);
  const AccountId id = found != by_identity_.end() ? found->second : add(identity);
  if (accounts_[id].open++ == 0) ++opened_;
  return id;
}

AccountId FairQueue::add(const std::string& identity) {
  if (closed_.empty()) forget(by_identity_.size() >= opened_ + kMostRemembered);
  AccountId id = static_cast<AccountId>(accounts_.size());
  if (closed_.empty()) {
    accounts_.emplace_back();
  } else {
    id = closed_.back();
    closed_.pop_back();
  }
  accounts_[id].identity = identity;
  accounts_[id].served = floor_;
  by_identity_.emplace(identity, id);
  return id;
}

void FairQueue::close(AccountId id) {
  Account& account = accounts_[id];
  assert(account.open > 0);
  if (--account.open > 0) return;
  --opened_;
  // With nobody else here, nobody was served at another's cost.
  if (opened_ == 0) forget(true);
}

/// Those that are gone: the ones who owe nothing any more, or all.
void FairQueue::forget(bool all) {
  for (auto it = by_identity_.begin(); it != by_identity_.end();) {
    const Account& account = accounts_[it->second];
    if (account.open > 0 || (account.served > floor_ && !all)) {
      ++it;
      continue;
    }
    closed_.push_back(it->second);
    it = by_identity_.erase(it);
  }
}

void FairQueue::push(const Waiting& waiting) {
  Account& account = accounts_[waiting.account];
  if (account.queues[0].empty() && account.queues[1].empty()) account.served = std::max(account.served, floor_);
  insert(waiting, classes_[waiting.priority == Priority::interactive ? 0 : 1]);
  ++size_;
}

/// By time of arrival: what is promoted was there before.
void FairQueue::insert(const Waiting& waiting, Class& into) {
  std::deque<Waiting>& queue = accounts_[waiting.account].queues[into.index];
  if (queue.empty()) into.accounts.push_back(waiting.account);
  const auto later = [](double since, const Waiting& other) { return since < other.since; };
  queue.insert(std::upper_bound(queue.begin(), queue.end(), waiting.since, later), waiting);
  ++into.size;
}

void FairQueue::erase_from(Class& c, std::size_t place, std::size_t at) {
  std::deque<Waiting>& queue = accounts_[c.accounts[place]].queues[c.index];
  queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(at));
  --c.size;
  if (queue.empty()) c.accounts.erase(c.accounts.begin() + static_cast<std::ptrdiff_t>(place));
}

void FairQueue::remove(std::uint64_t id) {
  for (Class& c : classes_)
    for (std::size_t place = 0; place < c.accounts.size(); ++place) {
      const std::deque<Waiting>& waiting = queue(c.accounts[place], c);
      for (std::size_t at = 0; at < waiting.size(); ++at)
        if (waiting[at].id == id) {
          erase_from(c, place, at);
          --size_;
          return;
        }
    }
}

void FairQueue::promote(double now) {
  Class& batch = classes_[1];
  for (std::size_t place = 0; place < batch.accounts.size();) {
    const Waiting head = queue(batch.accounts[place], batch).front();
    if (now - head.since < options_.batch_patience) {
      ++place;
      continue;
    }
    erase_from(batch, place, 0);
    insert(head, classes_[0]);
  }
}

const Waiting* FairQueue::next(double now) {
  promote(now);
  for (Class& c : classes_)
    if (c.size > 0) return pick(c);
  return nullptr;
}

/// Whether `a` is served before `b`; both wait in the class.
bool FairQueue::comes_before(AccountId a, AccountId b, const Class& c) const {
  const auto key = [&](AccountId id) { return std::tuple(accounts_[id].served, queue(id, c).front().since, id); };
  return key(a) < key(b);
}

const Waiting* FairQueue::pick(const Class& c) {
  const AccountId next = *std::min_element(c.accounts.begin(), c.accounts.end(),
                                           [&](AccountId a, AccountId b) { return comes_before(a, b, c); });
  floor_ = std::max(floor_, accounts_[next].served);
  return &queue(next, c).front();
}

std::size_t FairQueue::position(const Waiting& waiting) const {
  for (const Class& c : classes_) {
    if (std::find(c.accounts.begin(), c.accounts.end(), waiting.account) == c.accounts.end()) continue;
    const std::deque<Waiting>& mine = queue(waiting.account, c);
    const auto at = std::find_if(mine.begin(), mine.end(), [&](const Waiting& w) { return w.id == waiting.id; });
    if (at == mine.end()) continue;
    const auto nth = static_cast<std::size_t>(at - mine.begin()) + 1;
    std::size_t place = (c.index == 0 ? 0 : classes_[0].size) + nth;
    for (const AccountId other : c.accounts) {
      if (other == waiting.account) continue;
      const bool ahead = comes_before(other, waiting.account, c);
      place += std::min(queue(other, c).size(), ahead ? nth : nth - 1);
    }
    return place;
  }
  return size_;
}

}  // namespace minke::engine
