#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/cpu_count.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/memory_nodes.h"
#include "base/thread_pool.h"
#include "engine/kv_sequence.h"
#include "engine/memory_plan.h"
#include "engine/sampling.h"
#include "kernels/ops.h"
#include "models/decoder.h"
#include "models/loader.h"

namespace minke::engine {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Rows per step of Engine::logits by default: each row holds a vocabulary of logits (78 MB at 152k x 128).
constexpr std::size_t kLogitsChunk = 128;

kernels::KvType kv_type_of(const EngineOptions& options) {
  return options.kv_type.value_or(options.numerics == kernels::Numerics::exact ? kernels::KvType::f32
                                                                               : kernels::KvType::bf16);
}

}  // namespace

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::context:
      return "context";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "unknown";
}

struct Engine::Impl {
  Impl(const formats::Checkpoint& checkpoint, const EngineOptions& options)
      : pool(team(options)),
        ops(kernels::kernel_table(options.isa.value_or(kernels::best_isa())), pool, options.numerics),
        plan(make_plan(checkpoint, options)),
        chunk(options.chunk),
        decoder(load(checkpoint, options, pool)),
        workspace(decoder.config(), chunk),
        cache(decoder.block_bytes()),
        logits(decoder.vocab_size()) {
    batch.reserve(chunk);
  }

  static base::TeamPlan team(const EngineOptions& options) {
    const std::size_t threads = options.threads != 0 ? options.threads : base::default_thread_count();
    const auto nodes = base::memory_nodes(base::allowed_cpus(), "");
    if (options.numa && *options.numa != nodes.size()) return base::simulated_team(threads, *options.numa);
    return base::plan_team(threads, nodes, "");
  }

  static MemoryPlan make_plan(const formats::Checkpoint& checkpoint, const EngineOptions& options) {
    if (options.chunk == 0) throw Error(ErrorCode::invalid_argument, "chunk: expected at least 1, got 0");
    const models::DecoderConfig config = models::read_config(checkpoint);
    kernels::check_attention_shape(models::kv_layout(config, kv_type_of(options)),
                                   static_cast<std::size_t>(config.attention.heads), checkpoint.path());
    const std::uint64_t available = options.memory_limit != 0 ? options.memory_limit : base::available_memory();
    return plan_memory(config, models::measure(checkpoint, config, options.numerics), kv_type_of(options),
                       options.context, options.chunk, available);
  }

  static models::Decoder load(const formats::Checkpoint& checkpoint, const EngineOptions& options,
                              base::ThreadPool& pool) {
    models::DecoderConfig config = models::read_config(checkpoint);
    models::DecoderWeights weights = models::load_weights(checkpoint, config, options.numerics, pool, options.progress);
    return {std::move(config), std::move(weights), kv_type_of(options)};
  }

  void check_tokens(std::span<const TokenId> tokens) const;
  void step(std::span<const TokenId> tokens, std::size_t first, bool all_logits, float* out);
  bool prefill(std::span<const TokenId> tokens, const Callbacks& callbacks);
  void decode(const Request& request, const Callbacks& callbacks, Outcome& outcome);

  base::ThreadPool pool;
  kernels::Ops ops;
  MemoryPlan plan;
  std::size_t chunk;
  models::Decoder decoder;
  models::Workspace workspace;
  KvSequence cache;
  std::vector<float> logits;
  std::vector<models::BatchRow> batch;
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

/// Runs `tokens` at positions first, first+1, ...; `out` gets every row's logits, or the last one's.
void Engine::Impl::step(std::span<const TokenId> tokens, std::size_t first, bool all_logits, float* out) {
  batch.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i)
    batch.push_back({.token = tokens[i],
                     .sequence = 0,
                     .position = static_cast<std::uint32_t>(first + i),
                     .wants_logits = out != nullptr && (all_logits || i + 1 == tokens.size())});
  cache.reserve(first + tokens.size());
  const kernels::KvView view = cache.view();
  // Until the weights are known to have been whole, the cache holds nothing of this step.
  cache.tokens.resize(first);
  decoder.forward(ops, batch, std::span(&view, 1), workspace, out);
  decoder.check_files();
  cache.tokens.insert(cache.tokens.end(), tokens.begin(), tokens.end());
}

/// Brings the cache up to all of `tokens`, leaving the last one's logits. False when cancelled.
bool Engine::Impl::prefill(std::span<const TokenId> tokens, const Callbacks& callbacks) {
  std::size_t done = cache.common_prefix(tokens);
  while (done < tokens.size()) {
    if (callbacks.prefill && !callbacks.prefill(done, tokens.size())) return false;
    const std::size_t count = std::min(chunk, tokens.size() - done);
    const bool last = done + count == tokens.size();
    step(tokens.subspan(done, count), done, /*all_logits=*/false, last ? logits.data() : nullptr);
    done += count;
  }
  return !callbacks.prefill || callbacks.prefill(done, tokens.size());
}

void Engine::Impl::decode(const Request& request, const Callbacks& callbacks, Outcome& outcome) {
  Sampler sampler(request.sampling, decoder.vocab_size());
  // Room for the whole reply now, so that a step need not ask for any.
  const std::size_t most = request.max_tokens == 0 || request.max_tokens > plan.context - request.tokens.size()
                               ? plan.context
                               : request.tokens.size() + request.max_tokens;
  std::vector<TokenId> history;
  history.reserve(most + 1);
  history = request.tokens;
  cache.tokens.reserve(most);
  cache.reserve(most);
  while (true) {
    const TokenId token = sampler.sample(logits, history, history.size());
    outcome.output_tokens += 1;
    if (std::find(request.stop_tokens.begin(), request.stop_tokens.end(), token) != request.stop_tokens.end()) {
      outcome.reason = FinishReason::stop;
      return;
    }
    history.push_back(token);
    if (callbacks.token && !callbacks.token(token)) {
      outcome.reason = FinishReason::cancelled;
      return;
    }
    if (request.max_tokens != 0 && outcome.output_tokens >= request.max_tokens) {
      outcome.reason = FinishReason::length;
      return;
    }
    if (history.size() >= plan.context) {
      outcome.reason = FinishReason::context;
      return;
    }
    step(std::span(history).last(1), history.size() - 1, /*all_logits=*/false, logits.data());
  }
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

const models::DecoderConfig& Engine::config() const { return impl_->decoder.config(); }

std::size_t Engine::vocab_size() const { return impl_->decoder.vocab_size(); }

Outcome Engine::generate(const Request& request, const Callbacks& callbacks) {
  impl_->check_tokens(request.tokens);
  request.sampling.validate();
  Outcome outcome;
  outcome.prompt_tokens = request.tokens.size();
  outcome.cached_tokens = impl_->cache.common_prefix(request.tokens);
  const Clock::time_point start = Clock::now();
  if (!impl_->prefill(request.tokens, callbacks)) {
    outcome.reason = FinishReason::cancelled;
    outcome.prefill_seconds = seconds_since(start);
    return outcome;
  }
  outcome.prefill_seconds = seconds_since(start);
  const Clock::time_point decode_start = Clock::now();
  impl_->decode(request, callbacks, outcome);
  outcome.decode_seconds = seconds_since(decode_start);
  return outcome;
}

bool Engine::feed(std::span<const TokenId> tokens, std::size_t reuse, const Callbacks& callbacks) {
  impl_->check_tokens(tokens);
  std::vector<TokenId>& cached = impl_->cache.tokens;
  cached.resize(std::min(cached.size(), reuse));
  return impl_->prefill(tokens, callbacks);
}

void Engine::logits(std::span<const TokenId> ids, std::size_t chunk,
                    const std::function<bool(std::size_t, std::span<const float>)>& row) {
  impl_->check_tokens(ids);
  impl_->cache.tokens.clear();
  const std::size_t rows = std::min({chunk == 0 ? kLogitsChunk : chunk, impl_->chunk, ids.size()});
  std::vector<float> out(rows * vocab_size());
  for (std::size_t first = 0; first < ids.size(); first += rows) {
    const std::size_t count = std::min(rows, ids.size() - first);
    impl_->step(ids.subspan(first, count), first, /*all_logits=*/true, out.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> logits = std::span(out).subspan(i * vocab_size(), vocab_size());
      check_finite(logits, first + i);
      if (!row(first + i, logits)) return;
    }
  }
}

}  // namespace minke::engine
