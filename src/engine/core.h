// The half of the engine that computes: who runs, in which blocks, and one step after another. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/disk_cache.h"
#include "engine/fair_queue.h"
#include "engine/kv_cache.h"
#include "engine/logprobs.h"
#include "engine/mask_worker.h"
#include "engine/sampling.h"
#include "engine/sequence.h"
#include "engine/step_cost.h"
#include "kernels/ops.h"
#include "models/decoder.h"
#include "models/workspace.h"

namespace minke::engine {

struct CoreOptions {
  std::size_t sequences = 1;     ///< most replies that run at once
  std::size_t context = 0;       ///< most tokens of one of them
  std::size_t chunk = 512;       ///< most prompt rows of a step
  std::size_t cache_blocks = 0;  ///< at least what one context takes
  bool prefault = false;
  double target_inter_token = 0;  ///< StepCost::Options::target
  std::string secret;             ///< of the installation: goes into the blocks' names
  base::Digest fingerprint{};     ///< of the model and its arithmetic
  FairQueueOptions queue;
  Speculate speculate = Speculate::off;
  DiskCacheOptions disk;                    ///< without a folder: none
  std::shared_ptr<DiskFolder> disk_folder;  ///< shared with others, instead of one as `disk` says; may be null
  /// Called on any thread: when a wait for the disk or for a mask is over, and with a line of text when the disk fails.
  std::function<void()> wake;
  std::function<void(const std::string&)> warn;
};

/// A step: finished and cancelled replies have left; waiting ones are admitted while there are places and blocks; every
/// decoding reply has one row, and prompts share the rows that StepCost allows; the model runs; replies whose last
/// token was among the rows draw one; where a constrained one's mask is not there, the reply sits steps out until it
/// is. When blocks run out, the youngest gives its own up and is computed again later, which gives the same bits.
class Core {
 public:
  using Clock = std::chrono::steady_clock;

  Core(const models::Decoder& decoder, const kernels::Ops& ops, const CoreOptions& options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// Rows of the workspace and floats of outputs that these options take.
  static std::size_t workspace_rows(const CoreOptions& options) {
    return std::max(options.chunk, options.sequences + draft_rows(options));
  }
  static std::size_t logit_rows(const CoreOptions& options) {
    return options.sequences + kScoreRows + draft_rows(options);
  }
  static std::size_t draft_rows(const CoreOptions& options) {
    return options.speculate == Speculate::off ? 0 : Speculation::kMostRows;
  }

  void enqueue(std::shared_ptr<ReplyRecord> record, Clock::time_point submitted);
  /// Ends waiting requests that were cancelled. Running ones are looked at in every step.
  void sweep_waiting();
  /// False when there is nothing to run.
  bool step();
  /// Ends everything.
  void end_all(FinishReason reason, const base::Error* error);
  /// Wakes the readers of what the above wrote.
  void notify();

  std::size_t running() const noexcept { return running_.size() + loading(); }
  std::size_t waiting() const noexcept { return queue_.size() + resumed_.size(); }
  const KvCache& cache() const noexcept { return cache_; }
  std::uint64_t preemptions() const noexcept { return preemptions_; }
  /// Tokens that were guessed and run, and those that were right.
  std::uint64_t drafted() const noexcept { return drafted_; }
  std::uint64_t accepted() const noexcept { return accepted_; }
  /// Null: there is none.
  const DiskCache* disk() const noexcept { return disk_.get(); }

  /// Raw logits of every position; in blocks of its own. See Engine::logits.
  void logits(std::span<const TokenId> ids, std::size_t chunk,
              const std::function<bool(std::size_t, std::span<const float>)>& row);
  /// See Engine::feed. Its blocks are given back when a request comes.
  bool feed(std::span<const TokenId> tokens, std::size_t reuse, std::size_t singles,
            const std::function<bool(std::size_t, std::size_t)>& progress);

  /// Prompt rows with logits in one step, for prompt log-probabilities: 16 rows are 10 MB of a vocabulary of 152k.
  static constexpr std::size_t kScoreRows = 16;

 private:
  /// Rows of one reply in a step.
  struct Slice {
    Sequence* sequence = nullptr;
    std::size_t rows = 0;
    std::size_t first_logits = 0, logits = 0;  ///< rows of logits_
    std::size_t first_hidden = 0, hidden = 0;  ///< rows of hidden_
    const DraftJob* draft = nullptr;           ///< guesses of a decoding reply; the first rows - 1 are run
  };

  // admission.cc
  void admit();
  bool place(Sequence& sequence);
  void start(std::unique_ptr<Sequence> sequence);
  void begin(std::unique_ptr<Sequence> sequence);
  std::size_t reusable_blocks(const Sequence& sequence) const noexcept;
  void tell_positions();
  std::unique_ptr<Sequence> take_waiting(std::uint64_t id);
  const base::Digest& realm_of(const Sequence& sequence, std::size_t block) const noexcept;

  // disk_tier.cc
  void open_disk();
  void store(const Sequence& sequence, std::size_t block);
  bool begin_load(std::unique_ptr<Sequence>& sequence);
  void collect_loads();
  void end_loads(FinishReason reason, const base::Error* error);
  std::size_t loading() const noexcept;

  // core.cc
  bool plan();
  bool plan_decode();
  void plan_prefill();
  bool make_room(Sequence& sequence, std::size_t rows);
  void preempt_youngest();
  void drop_blocks(Sequence& sequence) noexcept;
  void build_batch();
  void start_masks() noexcept;
  void publish(Sequence& sequence);
  void remove_finished();

  // drafts.cc
  void open_draft(Sequence& sequence);
  void plan_drafts();
  void take_drafts(const Slice& slice);

  // outputs.cc
  void take_outputs(const Slice& slice);
  void score_prompt(Sequence& sequence, const Slice& slice, std::size_t first_position);
  void pool_hidden(Sequence& sequence, const Slice& slice);
  void fork(Sequence& sequence, std::span<float> logits);
  TokenId draw(Sequence& sequence, std::span<float> logits);
  std::optional<TokenId> draw_or_hold(Sequence& sequence, std::span<float> logits);
  void draw_held();
  TokenId sample(const Sequence& sequence, std::span<float> logits);
  MaskWorker& masks() {
    if (!masks_) masks_ = std::make_unique<MaskWorker>(options_.wake);
    return *masks_;
  }
  void finish(Sequence& sequence, FinishReason reason, const base::Error* error = nullptr);
  void touch(const Sequence& sequence);

  std::span<float> logits_row(std::size_t row) noexcept {
    return {logits_.get() + row * decoder_.vocab_size(), decoder_.vocab_size()};
  }

  const models::Decoder& decoder_;
  const kernels::Ops& ops_;
  CoreOptions options_;
  KvCache cache_;
  std::unique_ptr<DiskCache> disk_;  ///< its thread writes to blocks of cache_: it goes first
  models::Workspace workspace_;
  std::unique_ptr<float[]> logits_;  ///< (logit_rows, vocab)
  std::unique_ptr<float[]> hidden_;  ///< (chunk, hidden_size), once wanted
  std::vector<float> row_;           ///< (vocab): a copy that a draw may change
  Sampler sampler_;
  Logprobs logprobs_;
  StepCost cost_;
  std::unique_ptr<MaskWorker> masks_;  ///< once a reply is constrained
  Clock::time_point masks_until_;      ///< the present step's draws wait for their masks so long
  std::unique_ptr<Drafter> drafter_;   ///< null: nothing is guessed
  Speculation speculation_;

  FairQueue queue_;
  std::vector<std::unique_ptr<Sequence>> queued_;   ///< what queue_ speaks of
  std::vector<std::unique_ptr<Sequence>> resumed_;  ///< gave up their blocks: before all others, oldest first
  std::vector<std::unique_ptr<Sequence>> running_;  ///< in order of admission
  /// Admitted, and waiting for the disk. The blocks are the load's until it is done, whatever becomes of the reply.
  struct Loading {
    std::shared_ptr<DiskLoad> load;
    std::vector<BlockId> blocks;         ///< where its parts go
    std::unique_ptr<Sequence> sequence;  ///< null: it has ended meanwhile
  };
  std::vector<Loading> loads_;
  std::size_t places_ = 0;  ///< that running_ and loads_ take, with samples not yet parted
  bool changed_ = false;    ///< something was freed or came: admission may succeed
  bool queue_changed_ = false;
  std::uint64_t next_id_ = 1;
  std::uint64_t preemptions_ = 0;
  std::uint64_t drafted_ = 0, accepted_ = 0;
  base::Digest shared_realm_{};

  // Of the present step; their room is taken once.
  std::vector<Slice> slices_;
  std::vector<models::BatchRow> batch_;
  std::vector<kernels::KvView> views_;
  std::vector<std::size_t> pending_, rows_;
  std::vector<DraftJob> drafts_;
  std::vector<Speculation::Candidate> candidates_;
  std::vector<ReplyRecord*> touched_;
  std::vector<Sequence*> finished_;
  std::vector<std::shared_ptr<ReplyRecord>> ended_;  ///< kept until told

  struct Measured {
    std::vector<TokenId> tokens;
    std::vector<BlockId> blocks;
    std::vector<std::byte*> memory;
  } measured_;
  void run_measured(std::span<const TokenId> tokens, std::size_t first, float* logits, bool all);
  void end_measured() noexcept;
};

}  // namespace minke::engine
