// One running reply.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/sha256.h"
#include "engine/drafter.h"
#include "engine/fair_queue.h"
#include "engine/kv_arena.h"
#include "engine/reply.h"
#include "engine/reply_control.h"
#include "engine/speculation.h"

namespace minke::engine {

struct Sequence {
  using Clock = std::chrono::steady_clock;

  std::shared_ptr<ReplyRecord> record;
  std::size_t sample = 0;
  std::size_t unforked = 0;  ///< samples after this one that still share it: they part when the prompt is done

  std::vector<TokenId> tokens;        ///< prompt and reply; room for its most is taken at admission
  std::size_t computed = 0;           ///< of these, the first ones whose keys and values are in the blocks
  std::vector<BlockId> blocks;        ///< block i holds positions [64 i, 64 i + 64)
  std::vector<std::byte*> memory;     ///< where they lie, for attention
  std::size_t published = 0;          ///< of the blocks, the first ones that others may find
  std::size_t shared_blocks = 0;      ///< of the blocks, the first ones that belong to every tenant
  base::Digest realm{};               ///< of the blocks after those
  std::vector<double> pooled;         ///< sums of hidden states, for Pooling::mean
  std::shared_ptr<DraftState> draft;  ///< its own; null: nothing is guessed
  DraftRecord drafts;
  ReplyControl control;  ///< of what is written next and of what may be reported
  /// Logits (vocab) of the next token, whose mask is not there yet: it is in no step until it is. Empty: none.
  std::vector<float> held;

  std::uint64_t id = 0;
  AccountId account = 0;
  Clock::time_point submitted, admitted, first_token;
  bool was_admitted = false;

  const Request& request() const noexcept { return record->request; }
  ReplyRecord::Output& output() const noexcept { return record->outputs[sample]; }
  std::size_t prompt() const noexcept { return request().tokens.size(); }
  /// Tokens to run before the next can be drawn.
  std::size_t pending() const noexcept { return tokens.size() - computed; }
  /// That it can ever have, in a context of so many.
  std::size_t most_tokens(std::size_t context) const noexcept {
    return std::min(context, prompt() + record->most_tokens);
  }
  bool decoding() const noexcept { return pending() == 1 && tokens.size() > prompt(); }
  /// Every prompt row's output is wanted: nothing of it can be left to the cache.
  bool scores_prompt() const noexcept { return request().prompt_logprobs || request().pooling == Pooling::mean; }
};

}  // namespace minke::engine
