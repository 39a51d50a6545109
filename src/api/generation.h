// A request's replies while they are computed: the engine's events of all prompts and samples, as pieces of text.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/model.h"
#include "api/reply_text.h"
#include "engine/events.h"
#include "engine/reply.h"

namespace minke::api {

/// What a request has cost so far, over all of its prompts and samples; also of one that was cut off.
struct Spent {
  std::size_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0, reasoning_tokens = 0;
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;  ///< of the slowest prompt or sample
  std::optional<double> first_token;                                  ///< seconds after submission
};

class Generation {
 public:
  struct Piece {
    std::size_t choice = 0;  ///< prompt * samples + sample
    TextDelta delta;
    std::optional<engine::FinishReason> end;  ///< stop, length or context
    std::optional<std::string> stop;          ///< the stop sequence that ended it
  };

  /// Submits: `request` with each prompt's tokens. Throws ApiError, and leaves nothing running then. `notify` is called
  /// on the compute thread when next() may have something.
  Generation(const Model& model, std::vector<Prompt> prompts, const engine::Request& request,
             const std::function<void()>& notify);

  /// The next piece that is there. Never waits. Throws ApiError when a reply failed.
  std::optional<Piece> next();
  bool finished() const noexcept { return ended_ == choices(); }
  std::size_t choices() const noexcept { return replies_.size() * samples_; }

  const Spent& spent() const noexcept { return spent_; }
  /// What it waits for, for people: "queue position 3, about 12 s", "prompt 512 of 20000 tokens", or nothing.
  std::string waiting_for() const;
  /// Where it waits, while it does; how much of the prompt is there, until the first token.
  const std::optional<engine::Queued>& queued() const noexcept { return queued_; }
  const std::optional<engine::PrefillProgress>& prefill() const noexcept { return prefill_; }
  /// Seconds that the queue is thought to take from now; 0 when it is not waiting.
  double estimated_wait() const noexcept { return queued_ ? queued_->estimated_wait : 0; }

 private:
  struct Sample {
    ReplyText text;
    bool ended = false;
  };
  struct Running {
    engine::Reply reply;
    std::vector<Sample> samples;
    std::size_t cached = 0;  // tokens of its prompt
  };

  std::optional<Piece> take(std::size_t index, engine::Event&& event);
  Piece take_token(std::size_t index, const engine::TokenDrawn& drawn);
  void set_cached(Running& running, std::size_t tokens) noexcept;
  Piece take_end(std::size_t index, const engine::Finished& finished);

  std::size_t samples_;
  std::vector<std::string> stops_;
  std::vector<Running> replies_;
  std::size_t next_reply_ = 0, ended_ = 0;
  std::optional<engine::Queued> queued_;
  std::optional<engine::PrefillProgress> prefill_;
  Spent spent_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace minke::api
