// A decoder's forward pass over a ragged batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kv_layout.h"
#include "kernels/ops.h"
#include "models/config.h"
#include "models/rope.h"
#include "models/weights.h"
#include "models/workspace.h"

namespace minke::models {

/// One row of a step. Rows of one sequence are in ascending order of position, and every earlier position
/// of the sequence is in its cache or in an earlier row.
struct BatchRow {
  std::int32_t token = 0;
  std::uint32_t sequence = 0;  ///< index into the step's KvViews
  std::uint32_t position = 0;
  bool wants_logits = false;
  bool wants_hidden = false;
};

/// What every block of a step needs to know about it.
struct StepContext {
  const kernels::Ops& ops;
  const DecoderConfig& config;
  const kernels::KvLayout& kv_layout;
  std::span<const kernels::RowRef> rows;
  std::span<const kernels::KvView> sequences;
  Workspace& workspace;
};

class Decoder {
 public:
  Decoder(DecoderConfig config, DecoderWeights weights, kernels::KvType kv_type);

  const DecoderConfig& config() const noexcept { return config_; }
  const kernels::KvLayout& kv_layout() const noexcept { return kv_layout_; }
  /// Bytes of one cache block of kernels::kKvBlock tokens, all layers.
  std::size_t block_bytes() const noexcept { return kv_layout_.bytes() * weights_.layers.size(); }
  std::size_t vocab_size() const noexcept { return static_cast<std::size_t>(config_.vocab_size); }
  /// Throws Error(io) when a tiled file that weights lie in was shortened: what was computed since is worth nothing.
  void check_files() const;

  /// Runs one step: writes the rows' keys and values into the caches and, for the rows that want them,
  /// logits[i * vocab_size() ...] in row order; likewise the last hidden states, after the output norm,
  /// hidden[i * hidden_size ...]. 1 <= rows <= workspace.max_rows. Allocates nothing.
  void forward(const kernels::Ops& ops, std::span<const BatchRow> batch, std::span<const kernels::KvView> sequences,
               Workspace& workspace, float* logits, float* hidden = nullptr) const;

 private:
  void begin_step(std::span<const BatchRow> batch, const kernels::Ops& ops, Workspace& workspace) const;
  void output(const kernels::Ops& ops, std::span<const BatchRow> batch, Workspace& workspace, float* logits,
              float* hidden) const;

  DecoderConfig config_;
  DecoderWeights weights_;
  kernels::KvLayout kv_layout_;
  Rope rope_;
};

}  // namespace minke::models
