#include "server/resumable.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>

#include "api/random_id.h"
#include "base/cat.h"

namespace minke::server {
namespace {

using api::ApiError;
using api::Fault;
using State = api::Stream::State;

// Of one poll, so that a client with much to catch up on does not keep the others waiting.
constexpr std::size_t kPollBytes = std::size_t{32} << 10;
constexpr std::string_view kEventEnd = "\n\n";

}  // namespace

/// A stream and its last events. The server's thread's, but for what is constant or atomic.
class ResumableStreams::Kept {
 public:
  Kept(std::string identity, std::unique_ptr<api::Stream> stream, std::shared_ptr<Waker> waker, std::size_t most_bytes)
      : identity_(std::move(identity)),
        id_(api::random_id("stream_")),
        most_bytes_(most_bytes),
        stream_(std::move(stream)),
        waker_(std::move(waker)) {}

  const std::string& identity() const noexcept { return identity_; }
  const std::string& id() const noexcept { return id_; }
  api::Stream& stream() const noexcept { return *stream_; }
  Waker& waker() const noexcept { return *waker_; }

  /// A new reader, who has read up to event number `last`; the one before reads no more. Its number.
  std::uint64_t attach() noexcept {
    read_.store(true);
    return ++reader_;
  }
  bool reads(std::uint64_t reader) const noexcept { return reader == reader_; }
  void detach(std::uint64_t reader, Clock::time_point now) {
    if (!reads(reader)) return;
    waker_->tell(nullptr);
    left_.store(now.time_since_epoch());
    read_.store(false);
  }
  /// Nobody has read it since; nothing while somebody does. Any thread.
  std::optional<Clock::time_point> left() const noexcept {
    if (read_.load()) return std::nullopt;
    return Clock::time_point(left_.load());
  }

  /// Numbers of the events that are there: [first, end).
  std::uint64_t first() const noexcept { return first_; }
  std::uint64_t end() const noexcept { return first_ + events_.size(); }
  const std::string& event(std::uint64_t number) const { return events_[number - first_]; }
  State state() const noexcept { return state_; }
  bool ended() const noexcept { return state_ == State::done || state_ == State::broken; }
  bool full() const noexcept { return bytes_ >= most_bytes_; }

  /// What the stream has by now.
  void poll() {
    if (ended()) return;
    state_ = stream_->poll(fresh_);
    std::size_t from = 0;
    for (std::size_t to = 0; (to = fresh_.find(kEventEnd, from)) != std::string::npos; from = to + kEventEnd.size()) {
      std::string event =
          base::cat("id: ", end(), "\n", std::string_view(fresh_).substr(from, to + kEventEnd.size() - from));
      bytes_ += event.size();
      events_.push_back(std::move(event));
    }
    fresh_.erase(0, from);
  }
  /// Events before `number` were sent: of those only the last are kept.
  void sent(std::uint64_t number) {
    while (full() && first_ < number) {
      bytes_ -= events_.front().size();
      events_.pop_front();
      ++first_;
    }
  }

  /// What it cost, to whoever asks first once it has ended or is given up.
  std::optional<Bill> bill() {
    if (std::exchange(billed_, true)) return std::nullopt;
    return Bill{.model = std::string(stream_->model()), .spent = stream_->spent()};
  }

 private:
  const std::string identity_, id_;
  const std::size_t most_bytes_;
  const std::unique_ptr<api::Stream> stream_;
  const std::shared_ptr<Waker> waker_;
  std::deque<std::string> events_;
  std::string fresh_;  // not yet a whole event
  std::uint64_t first_ = 1;
  std::size_t bytes_ = 0;
  State state_ = State::waiting;
  std::uint64_t reader_ = 0;
  bool billed_ = false;
  std::atomic<bool> read_{true};
  std::atomic<Clock::duration> left_{Clock::duration::zero()};
};

/// What a connection reads of it.
class ResumableStreams::Reader final : public api::Stream {
 public:
  Reader(std::shared_ptr<Kept> kept, std::uint64_t next, const std::function<Clock::time_point()>& now)
      : kept_(std::move(kept)), now_(now), reader_(kept_->attach()), next_(next) {}
  ~Reader() override { kept_->detach(reader_, now_()); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool is_events() const noexcept override { return true; }
  std::string_view content_type() const noexcept override { return kept_->stream().content_type(); }
  std::string_view resume_id() const noexcept override { return kept_->id(); }

  State poll(std::string& out) override {
    if (!kept_->reads(reader_)) {
      error_.emplace(Fault::invalid, "another connection reads this stream now");
      return State::broken;
    }
    if (next_ == kept_->end()) kept_->poll();
    for (; next_ < kept_->end() && out.size() < kPollBytes; ++next_) out += kept_->event(next_);
    kept_->sent(next_);
    if (next_ < kept_->end()) return State::more;
    if (kept_->ended()) {
      if (const auto& error = kept_->stream().error()) error_ = error;
      if (auto bill = kept_->bill()) spent_ = bill->spent;
    }
    return kept_->state();
  }

  void keep_alive(std::string& out) const override { kept_->stream().keep_alive(out); }
  const std::optional<ApiError>& error() const noexcept override { return error_; }
  /// Of a stream that several connections read, one tells what it cost.
  const api::Spent& spent() const noexcept override { return spent_; }
  double estimated_wait() const noexcept override { return kept_->stream().estimated_wait(); }
  std::string_view model() const noexcept override { return kept_->stream().model(); }
  std::string_view warning() const noexcept override { return kept_->stream().warning(); }

 private:
  const std::shared_ptr<Kept> kept_;
  const std::function<Clock::time_point()> now_;
  const std::uint64_t reader_;
  std::uint64_t next_;
  std::optional<ApiError> error_;
  api::Spent spent_;
};

ResumableStreams::ResumableStreams(const ResumableOptions& options, std::function<Clock::time_point()> now)
    : options_(options), now_(std::move(now)) {}

ResumableStreams::~ResumableStreams() = default;

std::unique_ptr<api::Stream> ResumableStreams::add(const std::string& identity, std::unique_ptr<api::Stream> stream,
                                                   std::shared_ptr<Waker> waker) {
  if (!stream->content_type().starts_with("text/event-stream"))
    throw ApiError(Fault::unsupported, "only streams of server-sent events can be resumed", "x-minke-resumable");
  auto kept = std::make_shared<Kept>(identity, std::move(stream), std::move(waker), options_.bytes);
  const std::lock_guard lock(mutex_);
  make_room(identity);
  streams_.emplace(kept->id(), kept);
  return std::make_unique<Reader>(std::move(kept), 1, now_);
}

/// For one more of this identity's: in place of its own that nobody has read for longest.
void ResumableStreams::make_room(const std::string& identity) {
  std::size_t own = 0;
  auto oldest = streams_.end();
  Clock::time_point oldest_left;
  for (auto it = streams_.begin(); it != streams_.end(); ++it) {
    if (it->second->identity() != identity) continue;
    ++own;
    const auto left = it->second->left();
    if (!left || (oldest != streams_.end() && *left >= oldest_left)) continue;
    oldest = it;
    oldest_left = *left;
  }
  if (own < options_.each && streams_.size() < options_.streams) return;
  if (oldest == streams_.end()) {
    throw own < options_.each
        ? ApiError(Fault::overloaded, "there are as many resumable streams as may be")
        : ApiError(Fault::rate_limited, base::cat("a key has at most ", options_.each, " resumable streams at once"));
  }
  dropped_.push_back(std::move(oldest->second));
  streams_.erase(oldest);
}

std::shared_ptr<ResumableStreams::Kept> ResumableStreams::find(const std::string& identity,
                                                               const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() || found->second->identity() != identity ? nullptr : found->second;
}

std::unique_ptr<api::Stream> ResumableStreams::resume(const std::string& identity, const std::string& id,
                                                      std::uint64_t last, std::function<void()> notify) {
  std::shared_ptr<Kept> kept = find(identity, id);
  if (!kept) throw ApiError(Fault::unknown_route, "there is no such stream: it may have been given up");
  if (last + 1 < kept->first() || last >= kept->end()) {
    throw ApiError(Fault::invalid,
                   base::cat("Last-Event-ID: expected ", kept->first() - 1, " to ", kept->end() - 1, ", got ", last),
                   "Last-Event-ID");
  }
  auto reader = std::make_unique<Reader>(kept, last + 1, now_);
  // Who read it until now learns that this is over.
  kept->waker().wake();
  kept->waker().tell(std::move(notify));
  return reader;
}

bool ResumableStreams::forget(const std::string& identity, const std::string& id) {
  const std::shared_ptr<Kept> kept = find(identity, id);
  if (!kept) return false;
  kept->attach();
  kept->waker().wake();
  if (auto bill = kept->bill()) bills_.push_back(*bill);
  const std::lock_guard lock(mutex_);
  return streams_.erase(id) > 0;
}

void ResumableStreams::clear() {
  const std::lock_guard lock(mutex_);
  streams_.clear();
  dropped_.clear();
}

std::vector<ResumableStreams::Bill> ResumableStreams::tick() {
  std::vector<std::shared_ptr<Kept>> unread, over;
  const Clock::time_point now = now_();
  {
    const std::lock_guard lock(mutex_);
    over.swap(dropped_);
    for (auto it = streams_.begin(); it != streams_.end();) {
      const auto left = it->second->left();
      const bool ends = left && now - *left >= options_.time;
      if (left) (ends ? over : unread).push_back(it->second);
      if (ends) {
        it = streams_.erase(it);
      } else {
        ++it;
      }
    }
  }
  // So that a reply that has ended gives its place back.
  for (const auto& kept : unread)
    if (!kept->full()) kept->poll();
  std::vector<Bill> bills = std::exchange(bills_, {});
  for (const auto& kept : over)
    if (auto bill = kept->bill()) bills.push_back(*bill);
  return bills;
}

}  // namespace minke::server
