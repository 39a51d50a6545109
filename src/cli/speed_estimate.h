// How fast a model will run here, from its sizes and what the machine was just measured to do.
#pragma once

#include <cstddef>

#include "cli/bench_limits.h"
#include "models/config.h"
#include "models/estimate.h"

namespace minke::cli {

struct SpeedEstimate {
  /// Decoded tokens per second that reading the weights allows, at an empty context.
  double decode_limit = 0;
  /// Decoded tokens per second to be expected, at an empty context; 0: no estimate.
  double decode = 0;
  /// Prompt tokens per second to be expected, in steps of 512; 0: no estimate.
  double prefill = 0;
};

/// `limits`: of `threads` threads. Estimates are of `fast` numerics on vectors; what else is asked for has the limit
/// alone.
SpeedEstimate estimate_speed(const models::ModelSizes& sizes, const models::DecoderConfig& config, const Limits& limits,
                             std::size_t threads, kernels::Numerics numerics);

}  // namespace minke::cli
