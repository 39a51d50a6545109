// Checkpoint -> DecoderWeights: every tensor checked for presence, shape and type, packed, and accounted for.
#pragma once

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "kernels/numerics.h"
#include "models/config.h"
#include "models/packing.h"
#include "models/weights.h"

namespace minke::models {

/// Errors: format (a tensor missing or of another shape or kind: names checkpoint, tensor, expected, got),
/// numeric (NaN in scales or weights), unsupported (the checkpoint has tensors that this architecture does
/// not use: it is another model than its configuration says), io (file truncated meanwhile).
/// `numerics`: a latent projection whose transpose would cross quantisation groups is held in F32 in `exact`, BF16 in
/// `fast`. Of a tiled file the matrices stay where they are, in its map, and nothing is read of them.
DecoderWeights load_weights(const formats::Checkpoint& checkpoint, const DecoderConfig& config,
                            kernels::Numerics numerics, base::ThreadPool& pool, const LoadProgress& progress);

}  // namespace minke::models
