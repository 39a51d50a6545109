// Streams that outlive their connection: a client that was cut off asks for the rest.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"

namespace minke::server {

struct ResumableOptions {
  std::size_t streams = 256;                   ///< at once, read by somebody or not
  std::size_t each = 32;                       ///< of one identity
  std::size_t bytes = std::size_t{256} << 10;  ///< of events, kept for each
  std::chrono::milliseconds time{120'000};     ///< for which nobody need read one; then it is cancelled and forgotten
};

/// Streams of server-sent events, each under a random id, their events numbered from 1 by `id:` lines. Who asks with
/// the number of the last event it has gets those that follow: while nobody reads, tokens are still drawn, and the
/// last `bytes` of events are kept for a reader that was cut off before it had them.
///
/// `add` is called on any thread; the others, and all that concerns a stream that was added, on the server's.
class ResumableStreams {
 public:
  using Clock = std::chrono::steady_clock;

  struct Bill {
    std::string model;
    api::Spent spent;
  };

  /// Tells whoever reads the stream now that it has more. The one lock that the compute thread takes for a reply, and
  /// only for one that is resumable: it is held while a function is exchanged.
  class Waker {
   public:
    explicit Waker(std::function<void()> reader) : reader_(std::move(reader)) {}
    void wake() const {
      const std::lock_guard lock(mutex_);
      if (reader_) reader_();
    }
    void tell(std::function<void()> reader) {
      const std::lock_guard lock(mutex_);
      reader_.swap(reader);
    }

   private:
    mutable std::mutex mutex_;
    std::function<void()> reader_;
  };

  explicit ResumableStreams(const ResumableOptions& options, std::function<Clock::time_point()> now = Clock::now);
  ~ResumableStreams();
  ResumableStreams(const ResumableStreams&) = delete;
  ResumableStreams& operator=(const ResumableStreams&) = delete;

  /// Keeps `stream`, which calls `waker`, and gives what its first connection reads. Throws ApiError: it is no stream
  /// of events, or there are too many.
  std::unique_ptr<api::Stream> add(const std::string& identity, std::unique_ptr<api::Stream> stream,
                                   std::shared_ptr<Waker> waker);
  /// What follows event number `last`, and all that is yet to come; whoever read it until now is cut off. Throws
  /// ApiError: there is no such stream of this identity, or it does not have these events.
  std::unique_ptr<api::Stream> resume(const std::string& identity, const std::string& id, std::uint64_t last,
                                      std::function<void()> notify);
  /// Cancels it. False: there is no such stream of this identity.
  bool forget(const std::string& identity, const std::string& id);

  /// Ends all. Any thread, once nothing is served any more.
  void clear();

  /// To be called now and then. Ends what nobody came back for; what those cost that no reader has told of.
  std::vector<Bill> tick();

 private:
  class Kept;
  class Reader;

  std::shared_ptr<Kept> find(const std::string& identity, const std::string& id) const;
  void make_room(const std::string& identity);

  const ResumableOptions options_;
  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Kept>> streams_;
  std::vector<std::shared_ptr<Kept>> dropped_;  // to make room; tick() ends them
  std::vector<Bill> bills_;                     // for tick() to tell of
};

}  // namespace minke::server
