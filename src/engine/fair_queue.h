// Who is next: requests that wait, in turns between the identities that sent them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/request.h"

namespace minke::engine {

using AccountId = std::uint32_t;

struct Waiting {
  std::uint64_t id = 0;
  AccountId account = 0;
  Priority priority = Priority::interactive;
  double since = 0;  ///< seconds
};

struct FairQueueOptions {
  /// Tokens that an identity may be served before it is another's turn: about one short request, so that turns are
  /// taken by requests and not by floods.
  std::size_t quantum = 512;
  /// Seconds after which a batch request counts as interactive, so that it runs at last.
  double batch_patience = 60;
};

/// Deficit round robin (Shreedhar & Varghese 1995) over identities, in tokens: an identity's turn comes with a
/// quantum, and lasts until what was charged to it has used that up. Charges are what was really computed, so an
/// identity that was served more waits longer, whatever it had announced. Within an identity the order is that of
/// arrival; batch requests come after all interactive ones, until they have waited long. One thread.
class FairQueue {
 public:
  explicit FairQueue(const FairQueueOptions& options = {}) : options_(options) {}

  /// An identity's account, kept while it is open at least once; a new one owes nothing.
  AccountId open(const std::string& identity);
  void close(AccountId account);
  void charge(AccountId account, std::size_t tokens) noexcept {
    accounts_[account].deficit -= static_cast<std::int64_t>(tokens);
  }

  void push(const Waiting& waiting);
  /// The next one to serve, which stays; null when none waits.
  const Waiting* next(double now);
  void remove(std::uint64_t id);

  std::size_t size() const noexcept { return size_; }
  /// About how many requests will be served up to this one, it included, were turns taken by requests.
  std::size_t position(const Waiting& waiting) const;
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const Class& c : classes_)
      for (const AccountId account : c.ring)
        for (const Waiting& waiting : queue(account, c)) visit(waiting);
  }

 private:
  static constexpr std::size_t kClasses = 2;
  struct Account {
    std::string identity;
    std::size_t open = 0;
    std::int64_t deficit = 0;
    std::deque<Waiting> queues[kClasses];
  };
  struct Class {
    std::size_t index = 0;
    std::vector<AccountId> ring;  ///< accounts with something in this class's queue
    std::size_t turn = 0;
    bool begun = false;  ///< this turn's account has had its quantum
    std::size_t size = 0;
  };
  const std::deque<Waiting>& queue(AccountId account, const Class& c) const {
    return accounts_[account].queues[c.index];
  }
  void insert(const Waiting& waiting, Class& into);
  void erase_from(Class& c, std::size_t place, std::size_t at);
  void promote(double now);
  const Waiting* pick(Class& c);

  FairQueueOptions options_;
  std::vector<Account> accounts_;
  std::vector<AccountId> closed_;  ///< accounts to be used again
  std::unordered_map<std::string, AccountId> by_identity_;
  Class classes_[kClasses] = {{.index = 0, .ring = {}}, {.index = 1, .ring = {}}};
  std::size_t size_ = 0;
};

}  // namespace minke::engine
