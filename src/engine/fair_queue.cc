#include "engine/fair_queue.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace minke::engine {

AccountId FairQueue::open(const std::string& identity) {
  const auto [found, is_new] = by_identity_.try_emplace(identity, 0);
  if (is_new) {
    if (closed_.empty()) {
      found->second = static_cast<AccountId>(accounts_.size());
      accounts_.emplace_back();
    } else {
      found->second = closed_.back();
      closed_.pop_back();
    }
    Account& account = accounts_[found->second];
    account.identity = identity;
    account.deficit = 0;
  }
  ++accounts_[found->second].open;
  return found->second;
}

void FairQueue::close(AccountId id) {
  Account& account = accounts_[id];
  assert(account.open > 0);
  if (--account.open > 0) return;
  by_identity_.erase(account.identity);
  closed_.push_back(id);
}

void FairQueue::push(const Waiting& waiting) {
  insert(waiting, classes_[waiting.priority == Priority::interactive ? 0 : 1]);
  ++size_;
}

/// By time of arrival: what is promoted was there before.
void FairQueue::insert(const Waiting& waiting, Class& into) {
  std::deque<Waiting>& queue = accounts_[waiting.account].queues[into.index];
  if (queue.empty()) into.ring.push_back(waiting.account);
  const auto later = [](double since, const Waiting& other) { return since < other.since; };
  queue.insert(std::upper_bound(queue.begin(), queue.end(), waiting.since, later), waiting);
  ++into.size;
}

void FairQueue::erase_from(Class& c, std::size_t place, std::size_t at) {
  std::deque<Waiting>& queue = accounts_[c.ring[place]].queues[c.index];
  queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(at));
  --c.size;
  if (!queue.empty()) return;
  c.ring.erase(c.ring.begin() + static_cast<std::ptrdiff_t>(place));
  if (place == c.turn) c.begun = false;
  if (place < c.turn) --c.turn;
  if (c.turn >= c.ring.size()) c.turn = 0;
}

void FairQueue::remove(std::uint64_t id) {
  for (Class& c : classes_)
    for (std::size_t place = 0; place < c.ring.size(); ++place) {
      const std::deque<Waiting>& waiting = queue(c.ring[place], c);
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
  for (std::size_t place = 0; place < batch.ring.size();) {
    const Waiting head = queue(batch.ring[place], batch).front();
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

const Waiting* FairQueue::pick(Class& c) {
  // As many rounds at once as it takes until somebody may be served.
  const auto quantum = static_cast<std::int64_t>(std::max<std::size_t>(1, options_.quantum));
  std::int64_t rounds = std::numeric_limits<std::int64_t>::max();
  for (const AccountId id : c.ring)
    rounds = std::min(rounds, accounts_[id].deficit > 0 ? 0 : -accounts_[id].deficit / quantum);
  for (const AccountId id : c.ring) accounts_[id].deficit += rounds * quantum;
  for (;;) {
    std::int64_t& deficit = accounts_[c.ring[c.turn]].deficit;
    if (!c.begun) deficit += quantum;
    c.begun = true;
    if (deficit > 0) break;
    c.turn = (c.turn + 1) % c.ring.size();
    c.begun = false;
  }
  return &queue(c.ring[c.turn], c).front();
}

std::size_t FairQueue::position(const Waiting& waiting) const {
  for (const Class& c : classes_) {
    if (std::find(c.ring.begin(), c.ring.end(), waiting.account) == c.ring.end()) continue;
    const std::deque<Waiting>& mine = queue(waiting.account, c);
    const auto at = std::find_if(mine.begin(), mine.end(), [&](const Waiting& w) { return w.id == waiting.id; });
    if (at == mine.end()) continue;
    const auto nth = static_cast<std::size_t>(at - mine.begin()) + 1;
    std::size_t place = (c.index == 0 ? 0 : classes_[0].size) + nth;
    bool ahead = true;  // of this account in the ring: those come before it in its n-th round, too
    for (std::size_t k = 0; k < c.ring.size(); ++k) {
      const AccountId other = c.ring[(c.turn + k) % c.ring.size()];
      if (other == waiting.account) {
        ahead = false;
      } else {
        place += std::min(queue(other, c).size(), ahead ? nth : nth - 1);
      }
    }
    return place;
  }
  return size_;
}

}  // namespace minke::engine
