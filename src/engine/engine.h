// The engine in its smallest form: one sequence, through the model's ragged-batch interface. Callers pass
// the whole token history every time; the engine finds what it can reuse. Plain values in and out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampling.h"
#include "formats/checkpoint.h"
#include "kernels/isa.h"
#include "kernels/kv_layout.h"
#include "kernels/numerics.h"
#include "models/config.h"

namespace minke::engine {

using TokenId = std::int32_t;

struct EngineOptions {
  std::size_t threads = 0;  ///< 0: base::default_thread_count()
  /// Memory nodes that weights and work are divided among; unset: the machine's. A number that the machine does not
  /// have only divides, and pins no thread.
  std::optional<std::size_t> numa;
  std::optional<kernels::Isa> isa;  ///< unset: the best that runs here
  kernels::Numerics numerics = kernels::Numerics::fast;
  std::optional<kernels::KvType> kv_type;  ///< unset: bf16 in fast, f32 in exact
  std::size_t context = 0;                 ///< tokens; 0: what fits, up to the trained length
  std::uint64_t memory_limit = 0;          ///< bytes; 0: what the machine (and its cgroup) has available
  std::size_t chunk = 512;                 ///< most rows per forward step
  /// Called while weights are packed, from the loading thread.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

enum class FinishReason {
  stop,       ///< a stop token
  length,     ///< max_tokens reached
  context,    ///< the context is full
  cancelled,  ///< the callback said so
};
std::string_view to_string(FinishReason reason);

struct Request {
  std::vector<TokenId> tokens;  ///< the whole history, not empty
  SamplingParams sampling;
  std::size_t max_tokens = 0;  ///< 0: until the context is full
  std::vector<TokenId> stop_tokens;
};

struct Outcome {
  FinishReason reason = FinishReason::stop;
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;  ///< of the prompt, reused from the cache
  std::size_t output_tokens = 0;  ///< the stop token included
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

struct Callbacks {
  /// A new token (stop tokens are not reported). Return false to end the reply.
  std::function<bool(TokenId)> token;
  /// Prefill progress; return false to cancel.
  std::function<bool(std::size_t done, std::size_t total)> prefill;
};

/// What an engine turned out to be, for the start-up line and `show`.
struct EngineInfo {
  std::string kernels;  ///< name of the kernel table
  std::size_t threads = 0;
  std::size_t nodes = 1;  ///< memory nodes that weights and work are divided among
  std::size_t context = 0;
  std::size_t trained_context = 0;
  std::uint64_t weight_bytes = 0;
  bool weights_mapped = false;  ///< in a tiled file's map, not in memory of the process
  std::uint64_t kv_bytes_per_token = 0;
  kernels::Numerics numerics = kernels::Numerics::fast;
  kernels::KvType kv_type = kernels::KvType::bf16;
  std::vector<std::string> warnings;  ///< from the checkpoint's configuration
};

class Engine {
 public:
  /// Estimates memory first: Error(out_of_memory) says what is needed, what there is and what would fit.
  Engine(const formats::Checkpoint& checkpoint, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  EngineInfo info() const;
  const models::DecoderConfig& config() const;
  /// Rows of the output matrix.
  std::size_t vocab_size() const;

  /// Runs one reply. Errors: invalid_argument (a token id out of range), context_overflow (the prompt does
  /// not fit: says both counts), numeric (NaN logits).
  Outcome generate(const Request& request, const Callbacks& callbacks);

  /// Brings the cache up to `tokens`, as generate() does before it draws, and draws nothing: for measuring. At most
  /// `reuse` tokens are taken from the cache. False when the callback cancelled. Errors as generate().
  bool feed(std::span<const TokenId> tokens, std::size_t reuse, const Callbacks& callbacks);

  /// Raw logits of every position, in order: row(i, logits[vocab]) follows ids[0..i]. Starts from an empty
  /// cache. `chunk`: rows per step, 0 for the engine's own. Return false from `row` to end early.
  void logits(std::span<const TokenId> ids, std::size_t chunk,
              const std::function<bool(std::size_t, std::span<const float>)>& row);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace minke::engine
