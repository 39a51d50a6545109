// Who is next: requests that wait, and the identities that sent them.
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
  /// Seconds after which a batch request counts as interactive, so that it runs at last.
  double batch_patience = 60;
};

/// The identity that was served least is next (start-time fair queueing, Goyal, Vin & Cheng 1996; of tokens, as in
/// Sheng et al. 2024). What was really computed is charged, so an identity that was served more waits longer, whatever
/// it had announced. Nobody saves up turns while it asks for nothing: who comes, or comes again, stands at least where
/// the last one stood that was next (`floor_`). Nor is a debt forgotten because its owner's last request ended, as long
/// as others are here. Within an identity the order is that of arrival; batch requests come after all interactive
/// ones, until they have waited long. One thread.
///
/// Deficit round robin was here before. It serves alike only those whose queues never empty; with few places for each
/// in front of it (server::FairPlaces) all queues do so in each round.
class FairQueue {
 public:
  explicit FairQueue(const FairQueueOptions& options = {}) : options_(options) {}

  /// An identity's account, kept while it is open at least once, and longer when it was served more than others.
  AccountId open(const std::string& identity);
  void close(AccountId account);
  void charge(AccountId account, std::size_t tokens) noexcept {
    accounts_[account].served += static_cast<std::int64_t>(tokens);
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
      for (const AccountId account : c.accounts)
        for (const Waiting& waiting : queue(account, c)) visit(waiting);
  }

 private:
  static constexpr std::size_t kClasses = 2;
  struct Account {
    std::string identity;
    std::size_t open = 0;
    std::int64_t served = 0;  ///< tokens; counted from where the floor was when it came
    std::deque<Waiting> queues[kClasses];
  };
  struct Class {
    std::size_t index = 0;
    std::vector<AccountId> accounts;  ///< with something in this class's queue
    std::size_t size = 0;
  };
  const std::deque<Waiting>& queue(AccountId account, const Class& c) const {
    return accounts_[account].queues[c.index];
  }
  AccountId add(const std::string& identity);
  void forget(bool all);
  void insert(const Waiting& waiting, Class& into);
  void erase_from(Class& c, std::size_t place, std::size_t at);
  void promote(double now);
  bool comes_before(AccountId a, AccountId b, const Class& c) const;
  const Waiting* pick(const Class& c);

  FairQueueOptions options_;
  std::vector<Account> accounts_;
  std::vector<AccountId> closed_;  ///< accounts to be used again
  std::unordered_map<std::string, AccountId> by_identity_;
  std::size_t opened_ = 0;  ///< accounts that are open
  std::int64_t floor_ = 0;  ///< the most that anybody had been served who was next
  Class classes_[kClasses] = {{.index = 0, .accounts = {}}, {.index = 1, .accounts = {}}};
  std::size_t size_ = 0;
};

}  // namespace minke::engine
