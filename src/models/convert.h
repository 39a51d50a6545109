// Checkpoint -> tiled file: the weights as loading would pack them, written to where a map will find them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "models/config.h"

namespace minke::models {

struct Converted {
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;         ///< of the file
  std::uint64_t source_bytes = 0;  ///< of the source's tensors
  std::size_t left_out = 0;        ///< tensors of multi-token prediction layers
};

/// Called after each matrix with bytes of tensors written and in all; false ends the work with Error(cancelled).
using ConvertProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

/// Writes `path`, which appears when it is complete. The same source gives the same bytes. One matrix at a time is in
/// memory. Errors: as load_weights; invalid_argument when `path` exists or the source is tiled already; io, also when
/// the disk has too little room, before anything is packed.
Converted convert(const formats::Checkpoint& source, const DecoderConfig& config, const std::string& path,
                  base::ThreadPool& pool, const ConvertProgress& progress);

/// Reads all of a tiled file and compares the tensors' checksums; returns their number. Error(format) names the first
/// tensor that is damaged.
std::size_t verify_tiled(const std::string& path, base::ThreadPool& pool, const ConvertProgress& progress);

}  // namespace minke::models
