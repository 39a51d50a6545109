// The engine: many users' replies from one model, on one machine's processors (docs/engine.md). Callers pass the whole
// token history every time; the engine finds what it can reuse. Plain values in and out; nothing here is printed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fair_lock.h"
#include "engine/events.h"
#include "engine/memory_plan.h"
#include "engine/reply.h"
#include "engine/request.h"
#include "engine/sampling.h"
#include "engine/token_bytes.h"
#include "formats/checkpoint.h"
#include "kernels/isa.h"
#include "kernels/kv_layout.h"
#include "kernels/numerics.h"
#include "models/config.h"

namespace minke::engine {

class DiskFolder;

struct EngineOptions {
  std::size_t threads = 0;  ///< 0: base::default_thread_count()
  /// Memory nodes that weights and work are divided among; unset: the machine's. A number that the machine does not
  /// have only divides, and pins no thread.
  std::optional<std::size_t> numa;
  std::optional<kernels::Isa> isa;  ///< unset: the best that runs here
  kernels::Numerics numerics = kernels::Numerics::fast;
  std::optional<kernels::KvType> kv_type;  ///< unset: bf16 in fast, f32 in exact
  std::size_t context = 0;                 ///< most tokens of a request; 0: what fits, up to the trained length
  std::uint64_t memory_limit = 0;          ///< bytes; 0: what the machine (and its cgroup) has available
  std::size_t chunk = 512;                 ///< most prompt tokens per step
  /// Called while weights are packed, from the loading thread.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;

  std::size_t sequences = 16;  ///< most replies that run at once; others wait
  /// Tokens that the cache holds, of running replies and reusable ones; 0: `sequences` contexts as far as half of what
  /// memory is left allows, but at least one.
  std::size_t cache_tokens = 0;
  std::shared_ptr<const TokenBytes> token_bytes;  ///< needed for stop strings
  /// Guess tokens from what the reply and its prompt say already, and run guesses as further rows of a step where
  /// that pays. The same tokens, sooner. A request may say otherwise, unless this is off.
  Speculate speculate = Speculate::automatic;
  bool prefault = false;    ///< take the cache's memory now, not as it is first used
  std::size_t queue = 256;  ///< most requests that wait; more are refused (overloaded)
  /// Seconds between a reply's tokens to aim at while prompts are read; 0: under twice what it takes without them.
  double target_inter_token = 0;
  double batch_patience = 60;  ///< seconds after which a batch request counts as interactive
  std::string secret;          ///< of this installation: makes the names of cached blocks unguessable
  /// Where blocks are kept beyond memory and the end of the process; empty: nowhere. To be used with a secret.
  std::string cache_folder;
  std::uint64_t cache_disk = 8'000'000'000;                 ///< bytes there, at most
  std::uint64_t cache_least_free = std::uint64_t{1} << 30;  ///< bytes of that disk that are left to others
  /// Of open_cache_folder(), for engines of one process with the same three options: `cache_disk` is theirs together.
  /// Null: this engine's alone.
  std::shared_ptr<DiskFolder> cache_shared;
  /// A line of text about what went wrong and did no harm (a damaged file of the cache, a full disk); on any thread.
  std::function<void(const std::string&)> on_warning;
  /// After a step has run for so long, `on_stuck` is called once, on a thread of its own.
  double stuck_seconds = 120;
  std::function<void(double seconds)> on_stuck;
  /// Shared by engines that compute on the same processors: they take turns, a step each. May be null.
  std::shared_ptr<base::FairLock> turns;
};

struct Outcome {
  FinishReason reason = FinishReason::stop;
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;  ///< of the prompt, reused from the cache
  std::size_t output_tokens = 0;  ///< the stop token included
  std::size_t thinking_tokens = 0;
  std::optional<std::size_t> stop_string;  ///< which of Request::stop_strings ended it
  std::string tail;                        ///< Finished::tail
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::size_t drafted_tokens = 0, accepted_tokens = 0;  ///< as Usage
};

struct Callbacks {
  /// A new token (stop tokens are not reported). Return false to end the reply.
  std::function<bool(TokenId)> token;
  /// Prefill progress, and now and then without any; return false to cancel.
  std::function<bool(std::size_t done, std::size_t total)> prefill;
};

/// What an engine turned out to be, for the start-up line and `show`.
struct EngineInfo {
  std::string kernels;  ///< name of the kernel table
  std::size_t threads = 0;
  std::size_t nodes = 1;  ///< memory nodes that weights and work are divided among
  std::size_t context = 0;
  std::size_t trained_context = 0;
  std::size_t sequences = 0;
  std::size_t cache_tokens = 0;
  std::uint64_t memory_bytes = 0;  ///< that it was planned to take, all in all
  std::uint64_t weight_bytes = 0;
  bool weights_mapped = false;  ///< in a tiled file's map, not in memory of the process
  std::uint64_t kv_bytes_per_token = 0;
  kernels::Numerics numerics = kernels::Numerics::fast;
  kernels::KvType kv_type = kernels::KvType::bf16;
  std::vector<std::string> warnings;  ///< from the checkpoint's configuration
};

/// How it is doing; as of the last step.
struct EngineHealth {
  std::uint64_t steps = 0;
  double last_step_age = 0;  ///< seconds since a step was finished (or since the start)
  double step_running = 0;   ///< seconds that the present step has taken; 0 between steps
  bool stuck = false;        ///< longer than EngineOptions::stuck_seconds
  std::size_t running = 0, waiting = 0;
  std::size_t cache_blocks = 0, free_blocks = 0, cached_blocks = 0;  ///< of 64 tokens; free: not in use, cached or not
  std::uint64_t cache_hits = 0, evictions = 0, preemptions = 0;      ///< blocks, blocks, replies
  std::uint64_t drafted = 0, accepted = 0;                           ///< tokens guessed and run; of these, right
  /// Of the cache on disk: blocks read, written, not written because too many waited, refused as damaged or foreign.
  std::uint64_t disk_read = 0, disk_written = 0, disk_dropped = 0, disk_refused = 0;
  std::uint64_t disk_bytes = 0;  ///< that its blocks take; 0 before the first is written
};

/// What an engine with these options would take. Nothing is loaded. Errors as Engine's.
MemoryPlan plan_engine(const formats::Checkpoint& checkpoint, const EngineOptions& options);

/// The cache's folder of these options, for EngineOptions::cache_shared. Error(io); Error(invalid_argument) when it is
/// not this user's alone.
std::shared_ptr<DiskFolder> open_cache_folder(const EngineOptions& options);

/// Every function may be called from any thread.
class Engine {
 public:
  /// Estimates memory first: Error(out_of_memory) says what is needed, what there is and what would fit.
  Engine(const formats::Checkpoint& checkpoint, const EngineOptions& options);
  /// Ends what runs: it finishes as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  EngineInfo info() const;
  EngineHealth health() const;
  const models::DecoderConfig& config() const;
  /// Rows of the output matrix.
  std::size_t vocab_size() const;

  /// Queues a request. `notify` is called on the compute thread after each step that gave it something, and must
  /// return at once; the last time may come after the end was read. Errors: invalid_argument (a token id out of range,
  /// a field), context_overflow (the prompt does not fit: says both counts), overloaded (the queue is full). What goes
  /// wrong later comes as Finished.
  Reply submit(Request request, std::function<void()> notify = {});

  /// Submits and waits: one reply, token by token, on the calling thread. Errors as submit(), and what the reply ended
  /// with: numeric (NaN logits).
  Outcome generate(Request request, const Callbacks& callbacks);

  /// Brings a cache of its own up to `tokens`, as a reply does before it draws, and draws nothing: for measuring. At
  /// most `reuse` tokens are left from the call before; the last `singles` go one a step. False when `progress`, called
  /// on the compute thread, said so. Errors as submit().
  bool feed(std::span<const TokenId> tokens, std::size_t reuse, std::size_t singles,
            const std::function<bool(std::size_t done, std::size_t total)>& progress);

  /// Raw logits of every position, in order: row(i, logits[vocab]), called on the compute thread, follows ids[0..i].
  /// Starts from an empty cache. `chunk`: rows per step, 0 for the engine's own. Return false from `row` to end early.
  void logits(std::span<const TokenId> ids, std::size_t chunk,
              const std::function<bool(std::size_t, std::span<const float>)>& row);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace minke::engine
