// Random checkpoints of any shape, streamed to disk.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "synth/plan.h"

namespace minke::synth {

struct WriteOptions {
  PlanOptions plan;
  std::uint64_t seed = 1;
  std::uint64_t shard_bytes = std::uint64_t{1} << 32;  ///< safetensors: most bytes of tensors in a file
  bool sparse = false;                                 ///< headers alone; the data are holes, that is zeros
  std::string name;                                    ///< GGUF: general.name
  /// Called between pieces of work; return false to stop (Error(cancelled)).
  std::function<bool(std::uint64_t done, std::uint64_t total)> progress;
};

struct Written {
  std::size_t tensors = 0, files = 0;
  std::uint64_t bytes = 0;
};

/// Writes `output`: a GGUF file, or a folder of safetensors with its config.json. Nothing of that name is there unless
/// it is complete. `source` is the configuration as it was read, `config` what is written of it (it may have fewer
/// layers). Errors: invalid_argument (the name is taken), io (the disk is too small: says what is needed and free),
/// unsupported as gguf_keys, cancelled.
Written write_checkpoint(const formats::Checkpoint& source, const models::DecoderConfig& config,
                         const WriteOptions& options, const std::string& output, base::ThreadPool& pool);

/// The configuration with its first `layers` layers.
void keep_layers(models::DecoderConfig& config, std::int64_t layers);

}  // namespace minke::synth
