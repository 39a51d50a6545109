// Who may still come in when there is more to do than can be done: a fair queue is fair only to those who are in it.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace minke::server {

/// Counts the requests of each identity. While less than half of the places are taken everybody is let in. Beyond that
/// an identity has its share of them: the places divided by the identities that have requests here or were refused a
/// moment ago. So whoever tries again most often does not get more than the others.
class FairPlaces {
 public:
  using Clock = std::chrono::steady_clock;

  /// `places`: requests that are computed at once and that wait; 0: everybody is always let in.
  explicit FairPlaces(std::size_t places) : places_(places) {}
  FairPlaces(const FairPlaces&) = delete;
  FairPlaces& operator=(const FairPlaces&) = delete;

  /// A place, until it is destroyed. The FairPlaces must outlive it.
  class Ticket {
   public:
    Ticket(FairPlaces& places, std::string identity) : places_(&places), identity_(std::move(identity)) {}
    ~Ticket() { places_->leave(identity_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    FairPlaces* places_;
    std::string identity_;
  };

  /// From any thread. Null: not now.
  std::unique_ptr<Ticket> enter(const std::string& identity, Clock::time_point now = Clock::now());

 private:
  struct Account {
    std::size_t inside = 0;
    Clock::time_point refused;  // last; the epoch: never
  };

  std::size_t backlogged(Clock::time_point now);
  void leave(const std::string& identity);

  const std::size_t places_;
  std::mutex mutex_;
  std::map<std::string, Account> accounts_;
  std::size_t inside_ = 0;
};

}  // namespace minke::server
