#include "engine/engine.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "base/cpu_count.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/memory_nodes.h"
#include "base/signals_blocked.h"
#include "base/thread_pool.h"
#include "engine/core.h"
#include "engine/fingerprint.h"
#include "engine/memory_plan.h"
#include "engine/watchdog.h"
#include "kernels/ops.h"
#include "models/decoder.h"
#include "models/loader.h"

namespace minke::engine {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

kernels::KvType kv_type_of(const EngineOptions& options) {
  return options.kv_type.value_or(options.numerics == kernels::Numerics::exact ? kernels::KvType::f32
                                                                               : kernels::KvType::bf16);
}

void check_range(std::string_view field, std::size_t value, std::size_t least, std::size_t most) {
  if (value < least || value > most)
    throw Error(ErrorCode::invalid_argument, cat(field, ": expected ", least, " to ", most, ", got ", value));
}

constexpr std::size_t kMostSequences = 4096;

DiskCacheOptions disk_options(const EngineOptions& options) {
  return {.folder = options.cache_folder, .bytes = options.cache_disk, .least_free = options.cache_least_free};
}

}  // namespace

std::shared_ptr<DiskFolder> open_cache_folder(const EngineOptions& options) {
  return std::make_shared<DiskFolder>(disk_options(options));
}

MemoryPlan plan_engine(const formats::Checkpoint& checkpoint, const EngineOptions& options) {
  check_range("chunk", options.chunk, 1, std::size_t{1} << 20);
  check_range("sequences", options.sequences, 1, kMostSequences);
  const models::DecoderConfig config = models::read_config(checkpoint);
  kernels::check_attention_shape(models::kv_layout(config, kv_type_of(options)),
                                 static_cast<std::size_t>(config.attention.heads), checkpoint.path());
  MemoryRequest request{.context = options.context, .cache_tokens = options.cache_tokens};
  request.sequences = options.sequences;
  const CoreOptions core = {.sequences = options.sequences, .chunk = options.chunk, .speculate = options.speculate};
  request.rows = Core::workspace_rows(core);
  request.logit_rows = Core::logit_rows(core);
  request.available = options.memory_limit != 0 ? options.memory_limit : base::available_memory();
  return plan_memory(config, models::measure(checkpoint, config, options.numerics), kv_type_of(options), request);
}

/// What callers and the compute thread share. Replies keep it too: they may outlive the engine.
struct Inbox {
  struct Entry {
    std::shared_ptr<ReplyRecord> record;
    Core::Clock::time_point submitted;
    std::function<void()> job;  ///< instead of a request
  };
  std::mutex mutex;
  std::vector<Entry> entries;  // guarded by mutex, as is `open`
  std::size_t requests = 0;    // of entries; with those that core has waiting
  bool open = true;
  base::Signal signal;                 ///< raised when there is something to look at
  std::atomic<bool> filled{false};     ///< entries is not empty
  std::atomic<bool> cancelled{false};  ///< a reply was
  std::atomic<bool> stop{false};
};

struct Engine::Impl {
  Impl(const formats::Checkpoint& checkpoint, const EngineOptions& given)
      : options(given),
        pool(team(options)),
        ops(kernels::kernel_table(options.isa.value_or(kernels::best_isa())), pool, options.numerics),
        plan(plan_engine(checkpoint, options)),
        decoder(load(checkpoint, options, pool)),
        core(decoder, ops, core_options(checkpoint)),
        watchdog(options.stuck_seconds, options.on_stuck) {
    const base::SignalsBlocked blocked;
    try {
      thread = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      throw Error(ErrorCode::io, cat("cannot start the compute thread: ", error.what()));
    }
    pthread_setname_np(thread.native_handle(), "minke-engine");
  }

  ~Impl() {
    inbox->stop.store(true, std::memory_order_release);
    inbox->signal.raise();
    thread.join();
  }

  static base::TeamPlan team(const EngineOptions& options) {
    const std::size_t threads = options.threads != 0 ? options.threads : base::default_thread_count();
    const auto nodes = base::memory_nodes(base::allowed_cpus(), "");
    if (options.numa && *options.numa != nodes.size()) return base::simulated_team(threads, *options.numa);
    return base::plan_team(threads, nodes, "");
  }

  static models::Decoder load(const formats::Checkpoint& checkpoint, const EngineOptions& options,
                              base::ThreadPool& pool) {
    models::DecoderConfig config = models::read_config(checkpoint);
    models::DecoderWeights weights = models::load_weights(checkpoint, config, options.numerics, pool, options.progress);
    return {std::move(config), std::move(weights), kv_type_of(options)};
  }

  CoreOptions core_options(const formats::Checkpoint& checkpoint) const {
    CoreOptions result{.sequences = options.sequences,
                       .context = plan.context,
                       .chunk = options.chunk,
                       .cache_blocks = plan.cache_tokens / kernels::kKvBlock,
                       .prefault = options.prefault,
                       .target_inter_token = options.target_inter_token,
                       .secret = options.secret,
                       .queue = {.batch_patience = options.batch_patience},
                       .speculate = options.speculate,
                       .wake = [inbox = inbox] { inbox->signal.raise(); }};
    if (options.cache_folder.empty() || options.cache_disk == 0) return result;
    result.fingerprint =
        fingerprint(checkpoint, kernels::name(ops.table()), options.numerics, decoder.kv_layout().type);
    result.disk = disk_options(options);
    result.disk_folder = options.cache_shared;
    result.warn = options.on_warning;
    return result;
  }

  void check_tokens(std::span<const TokenId> tokens) const;
  ControlPlan check(const Request& request) const;
  void run();
  void drain();
  void tell();
  /// Runs `job` on the compute thread, between steps, and waits for it; what it throws comes here.
  void run_job(const std::function<void()>& job);

  EngineOptions options;
  base::ThreadPool pool;
  kernels::Ops ops;
  MemoryPlan plan;
  models::Decoder decoder;
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  Core core;  // the compute thread's
  Watchdog watchdog;
  struct Counters {
    std::atomic<std::size_t> running{0}, waiting{0}, free_blocks{0}, cached_blocks{0};
    std::atomic<std::uint64_t> hits{0}, evictions{0}, preemptions{0}, drafted{0}, accepted{0};
  } counters;
  std::thread thread;
};

void Engine::Impl::check_tokens(std::span<const TokenId> tokens) const {
  if (tokens.empty()) throw Error(ErrorCode::invalid_argument, "the prompt is empty: at least one token is needed");
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= decoder.vocab_size())
      throw Error(ErrorCode::invalid_argument, cat("token ", i, " of the prompt: expected an id from 0 to ",
                                                   decoder.vocab_size() - 1, ", got ", tokens[i]));
  if (tokens.size() > plan.context)
    throw Error(ErrorCode::context_overflow,
                cat("the prompt has ", tokens.size(), " tokens, but the context holds ", plan.context),
                "Raise --ctx-size, or shorten the conversation.");
}

ControlPlan Engine::Impl::check(const Request& request) const {
  check_tokens(request.tokens);
  request.sampling.validate();
  check_range("samples", request.samples, 1, options.sequences);
  if (request.logprobs) check_range("logprobs", *request.logprobs, 0, kMaxTopLogprobs);
  if (request.pooling != Pooling::none &&
      (request.samples != 1 || request.logprobs || request.prompt_logprobs || request.constraint))
    throw Error(ErrorCode::invalid_argument,
                "pooling: expected neither several samples, log-probabilities nor a constraint beside it: no token is "
                "drawn");
  return {request, options.token_bytes, decoder.vocab_size()};
}

void Engine::Impl::drain() {
  if (inbox->cancelled.exchange(false, std::memory_order_acq_rel)) core.sweep_waiting();
  if (!inbox->filled.load(std::memory_order_acquire)) return;
  std::vector<Inbox::Entry> entries;
  {
    const std::lock_guard lock(inbox->mutex);
    entries.swap(inbox->entries);
    inbox->requests = 0;
    std::size_t requests = 0;
    for (const Inbox::Entry& entry : entries) requests += entry.record ? 1 : 0;
    counters.waiting.store(core.waiting() + requests, std::memory_order_relaxed);
    inbox->filled.store(false, std::memory_order_relaxed);
  }
  for (Inbox::Entry& entry : entries) {
    if (entry.job) {
      entry.job();
    } else {
      core.enqueue(std::move(entry.record), entry.submitted);
    }
  }
}

void Engine::Impl::tell() {
  counters.running.store(core.running(), std::memory_order_relaxed);
  counters.waiting.store(core.waiting(), std::memory_order_relaxed);
  counters.free_blocks.store(core.cache().available(), std::memory_order_relaxed);
  counters.cached_blocks.store(core.cache().cached(), std::memory_order_relaxed);
  counters.hits.store(core.cache().stats().hits, std::memory_order_relaxed);
  counters.evictions.store(core.cache().stats().evictions, std::memory_order_relaxed);
  counters.preemptions.store(core.preemptions(), std::memory_order_relaxed);
  counters.drafted.store(core.drafted(), std::memory_order_relaxed);
  counters.accepted.store(core.accepted(), std::memory_order_relaxed);
}

void Engine::Impl::run() {
  while (!inbox->stop.load(std::memory_order_acquire)) {
    const std::uint32_t seen = inbox->signal.value();
    bool ran = false;
    auto turn = options.turns ? std::unique_lock(*options.turns) : std::unique_lock<base::FairLock>();
    watchdog.begin();
    try {
      drain();
      ran = core.step();
    } catch (const Error& error) {
      core.end_all(FinishReason::error, &error);
    } catch (const std::exception& error) {
      const Error wrapped(ErrorCode::out_of_memory, cat("a step failed: ", error.what()));
      core.end_all(FinishReason::error, &wrapped);
    }
    if (ran) watchdog.finished();
    tell();  // before anybody hears of it
    core.notify();
    watchdog.end();
    if (turn) turn.unlock();
    if (!ran) inbox->signal.wait(seen, std::chrono::seconds(1));
  }
  drain();
  core.end_all(FinishReason::cancelled, nullptr);
  tell();
  core.notify();
}

void Engine::Impl::run_job(const std::function<void()>& job) {
  std::exception_ptr thrown;
  // Not on this stack: the compute thread may still be raising it when the wait is over.
  const auto done = std::make_shared<base::Signal>();
  const auto guarded = [&job, &thrown, done] {
    try {
      job();
    } catch (...) {
      thrown = std::current_exception();
    }
    done->raise();
  };
  {
    const std::lock_guard lock(inbox->mutex);
    inbox->entries.push_back({.record = nullptr, .submitted = {}, .job = guarded});
    inbox->filled.store(true, std::memory_order_release);
  }
  inbox->signal.raise();
  while (done->value() == 0) done->wait(0, std::chrono::seconds(1));
  if (thrown) std::rethrow_exception(thrown);
}

Engine::Engine(const formats::Checkpoint& checkpoint, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(checkpoint, options)) {}

Engine::~Engine() = default;

EngineInfo Engine::info() const {
  const models::DecoderConfig& config = impl_->decoder.config();
  EngineInfo info{.kernels = std::string(kernels::name(impl_->ops.table())),
                  .threads = impl_->pool.size(),
                  .nodes = impl_->pool.nodes(),
                  .context = impl_->plan.context,
                  .trained_context = static_cast<std::size_t>(config.max_position_embeddings),
                  .sequences = impl_->options.sequences,
                  .cache_tokens = impl_->plan.cache_tokens,
                  .memory_bytes = impl_->plan.total(),
                  .weight_bytes = impl_->plan.weight_bytes,
                  .weights_mapped = impl_->plan.weights_mapped,
                  .kv_bytes_per_token = impl_->plan.kv_bytes_per_token,
                  .numerics = impl_->ops.numerics(),
                  .kv_type = impl_->decoder.kv_layout().type,
                  .warnings = config.warnings};
  if (info.context > info.trained_context)
    info.warnings.push_back(cat("a context of ", info.context, " tokens is longer than the model was trained for (",
                                info.trained_context, "): quality will suffer beyond that"));
  return info;
}

EngineHealth Engine::health() const {
  const Impl::Counters& c = impl_->counters;
  const Watchdog::Reading reading = impl_->watchdog.read();
  const DiskCache* cache = impl_->core.disk();  // there from the start or never
  const DiskCache::Stats disk = cache == nullptr ? DiskCache::Stats{} : cache->stats();
  return {.steps = reading.steps,
          .last_step_age = reading.age,
          .step_running = reading.running,
          .stuck = reading.stuck,
          .running = c.running.load(std::memory_order_relaxed),
          .waiting = c.waiting.load(std::memory_order_relaxed),
          .cache_blocks = impl_->plan.cache_tokens / kernels::kKvBlock,
          .free_blocks = c.free_blocks.load(std::memory_order_relaxed),
          .cached_blocks = c.cached_blocks.load(std::memory_order_relaxed),
          .cache_hits = c.hits.load(std::memory_order_relaxed),
          .evictions = c.evictions.load(std::memory_order_relaxed),
          .preemptions = c.preemptions.load(std::memory_order_relaxed),
          .drafted = c.drafted.load(std::memory_order_relaxed),
          .accepted = c.accepted.load(std::memory_order_relaxed),
          .disk_read = disk.read,
          .disk_written = disk.written,
          .disk_dropped = disk.dropped,
          .disk_refused = disk.refused,
          .disk_bytes = disk.bytes};
}

const models::DecoderConfig& Engine::config() const { return impl_->decoder.config(); }

std::size_t Engine::vocab_size() const { return impl_->decoder.vocab_size(); }

Reply Engine::submit(Request request, std::function<void()> notify) {
  ControlPlan control = impl_->check(request);
  const std::size_t room = impl_->plan.context - request.tokens.size();
  const std::size_t most = request.pooling != Pooling::none ? 1
                           : request.max_tokens == 0        ? room + 1
                                                            : std::min(request.max_tokens, room + 1);
  auto record = std::make_shared<ReplyRecord>(std::move(request), most, std::move(control));
  record->notify = std::move(notify);
  const std::shared_ptr<Inbox>& inbox = impl_->inbox;
  {
    const std::lock_guard lock(inbox->mutex);
    const std::size_t waiting = inbox->requests + impl_->counters.waiting.load(std::memory_order_relaxed);
    if (waiting >= impl_->options.queue)
      throw Error(ErrorCode::overloaded, cat("the queue is full: ", waiting, " requests wait"), "Try again later.");
    inbox->entries.push_back({.record = record, .submitted = Core::Clock::now(), .job = {}});
    ++inbox->requests;
    inbox->filled.store(true, std::memory_order_release);
  }
  inbox->signal.raise();
  return Reply(std::move(record), [inbox] {
    inbox->cancelled.store(true, std::memory_order_release);
    inbox->signal.raise();
  });
}

Outcome Engine::generate(Request request, const Callbacks& callbacks) {
  Outcome outcome;
  outcome.prompt_tokens = request.tokens.size();
  (void)impl_->check(request);
  if (callbacks.prefill && !callbacks.prefill(0, outcome.prompt_tokens)) {
    outcome.reason = FinishReason::cancelled;
    return outcome;
  }
  std::size_t done = 0;
  bool stopped = false;
  Reply reply = submit(std::move(request));
  const auto stop_unless = [&](bool go_on) {
    if (go_on || stopped) return;
    stopped = true;
    reply.cancel();
  };
  while (!reply.finished()) {
    const std::optional<Event> event = reply.wait(std::chrono::milliseconds(50));
    if (!event) {
      // Nothing new for a while: an occasion to be cancelled in a long step.
      if (callbacks.prefill && !stopped && outcome.output_tokens == 0)
        stop_unless(callbacks.prefill(done, outcome.prompt_tokens));
    } else if (const auto* progress = std::get_if<PrefillProgress>(&*event)) {
      done = progress->done;
      if (callbacks.prefill && !stopped) stop_unless(callbacks.prefill(done, outcome.prompt_tokens));
    } else if (const auto* drawn = std::get_if<TokenDrawn>(&*event)) {
      if (stopped) continue;
      outcome.output_tokens += 1;
      if (callbacks.token) stop_unless(callbacks.token(drawn->token));
    } else if (const auto* end = std::get_if<Finished>(&*event)) {
      if (end->error) throw *end->error;  // NOLINT(cert-err09-cpp,cert-err61-cpp): a copy, by value
      outcome.reason = stopped ? FinishReason::cancelled : end->reason;
      if (!stopped) outcome.output_tokens = end->usage.output_tokens;
      outcome.cached_tokens = end->usage.cached_tokens;
      outcome.thinking_tokens = end->usage.thinking_tokens;
      outcome.stop_string = end->stop_string;
      if (!stopped) outcome.tail = end->tail;
      outcome.prefill_seconds = end->timings.prefill_seconds;
      outcome.decode_seconds = end->timings.decode_seconds;
      outcome.drafted_tokens = end->usage.drafted_tokens;
      outcome.accepted_tokens = end->usage.accepted_tokens;
    }
  }
  return outcome;
}

bool Engine::feed(std::span<const TokenId> tokens, std::size_t reuse, std::size_t singles,
                  const std::function<bool(std::size_t done, std::size_t total)>& progress) {
  impl_->check_tokens(tokens);
  bool complete = false;
  impl_->run_job([&] { complete = impl_->core.feed(tokens, reuse, singles, progress); });
  return complete;
}

void Engine::logits(std::span<const TokenId> ids, std::size_t chunk,
                    const std::function<bool(std::size_t, std::span<const float>)>& row) {
  impl_->check_tokens(ids);
  impl_->run_job([&] { impl_->core.logits(ids, chunk, row); });
}

}  // namespace minke::engine
