// Who may still come in when there is more to do than can be done: a fair queue is fair only to those who are in it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace minke::server {

struct FairPlacesOptions {
  std::size_t places = 0;   ///< requests that are computed and that wait, at most; 0: everybody is always let in
  std::size_t at_once = 0;  ///< requests that are computed at once: with fewer inside, whoever comes is let in
};

/// Counts the requests of each identity. While less than half of the places are taken, and nobody else was refused a
/// moment ago, whoever comes is let in. Else an identity has its share of the places: these divided by the identities
/// that have requests here or were refused and are still awaited: until the time that they were told, and a little
/// longer. So whoever tries again most often does not get more than the others. Nothing stands idle for those who are
/// awaited: places are kept for them only beside what is computed.
///
/// Who is refused is told when to come back: an identity's places become free at some pace, and as many of its requests
/// as were refused before want them, too. That others were refused does not matter, for they want places of their own.
class FairPlaces {
 public:
  using Clock = std::chrono::steady_clock;

  /// `now`: the time.
  explicit FairPlaces(const FairPlacesOptions& options, std::function<Clock::time_point()> now = Clock::now)
      : places_(options.places), at_once_(options.at_once), now_(std::move(now)) {}
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

  struct Entry {
    std::unique_ptr<Ticket> ticket;  ///< null: not now
    bool full = false;               ///< no place is free; else the identity has its share
    double retry_seconds = 0;        ///< when a place should be free for whoever was refused; 0: not known
  };
  /// From any thread.
  Entry enter(const std::string& identity);

 private:
  struct Account {
    std::size_t inside = 0;
    Clock::time_point awaited;  // until then it may come again; the epoch: was let in since, with room for all
    Clock::time_point free_at;  // when a place should be free for the last that was told
  };

  void leave(const std::string& identity);
  std::size_t backlogged(const std::string& identity, Clock::time_point now);
  bool anybody_waits(Clock::time_point now, const std::string* except) const;
  double book(Account& account, std::size_t sharers, Clock::time_point now) const;
  bool crowded() const noexcept { return places_ > 0 && inside_ >= (places_ + 1) / 2; }

  const std::size_t places_, at_once_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  std::map<std::string, Account> accounts_;
  std::size_t inside_ = 0;
  Clock::time_point last_left_;  // the epoch: not while there was a crowd
  double pace_ = 0;              // seconds from one free place to the next while there is a crowd; 0: not known
};

}  // namespace minke::server
