// A request's way back: what the compute thread writes and the caller reads, without a lock between them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/signal.h"
#include "engine/events.h"
#include "engine/reply_control.h"

namespace minke::engine {

/// Written by the compute thread alone (but for `cancelled`), in memory taken when the request was submitted: a step
/// appends and counts up. Nothing is overwritten, so a slow reader misses nothing and holds nobody up.
struct ReplyRecord {
  /// `most_tokens`: the most that any of its samples can draw.
  ReplyRecord(Request request, std::size_t most_tokens, ControlPlan control = {});

  struct Output {
    std::unique_ptr<TokenId[]> tokens;
    std::unique_ptr<float[]> logprobs;    ///< when asked for
    std::unique_ptr<TokenLogprob[]> top;  ///< (tokens, request.logprobs)
    std::atomic<std::size_t> count{0};
    Finished end;  ///< to be read once `finished`
    std::atomic<bool> finished{false};
  };

  const Request request;
  const std::size_t most_tokens;
  const ControlPlan control;
  std::function<void()> notify;  ///< set before the compute thread hears of the record
  base::Signal signal;           ///< raised after each step that wrote here
  std::atomic<bool> cancelled{false};
  std::atomic<std::size_t> queue_position{0};  ///< 0: not waiting
  std::atomic<double> estimated_wait{0};
  std::atomic<std::size_t> prefill_done{0};
  std::atomic<std::size_t> cached{0};        ///< written before prefill_done
  std::unique_ptr<float[]> prompt_logprobs;  ///< (tokens - 1)
  std::vector<float> hidden;                 ///< pooled
  std::atomic<bool> prompt_done{false};      ///< the two above are complete
  std::unique_ptr<Output[]> outputs;         ///< (samples)
};

/// The caller's end. One thread reads; any may cancel. Dropping it cancels what is not finished.
class Reply {
 public:
  Reply() = default;
  Reply(std::shared_ptr<ReplyRecord> record, std::function<void()> wake);
  ~Reply();
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept;
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  /// The next event that is there, if any. Progress and places in the queue are told as they are now; what came
  /// between is left out. A token without logprobs allocates nothing.
  std::optional<Event> poll();
  /// The same, waiting for it.
  std::optional<Event> wait(std::chrono::nanoseconds most);
  /// Every sample's end has been read.
  bool finished() const noexcept;
  /// Ends it at the next step. What is drawn until then still comes, then Finished.
  void cancel() noexcept;

 private:
  std::optional<Event> poll_prompt();
  std::optional<Event> poll_sample(std::size_t sample);

  std::shared_ptr<ReplyRecord> record_;
  std::function<void()> wake_;
  std::size_t position_ = 0, prefilled_ = 0;
  double wait_ = 0;
  bool prompt_read_ = false;
  std::size_t next_sample_ = 0, ended_ = 0;
  struct Cursor {
    std::size_t read = 0;
    bool ended = false;
  };
  std::vector<Cursor> cursors_;
};

}  // namespace minke::engine
