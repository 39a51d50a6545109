// What decides the bits of cached keys and values, in one digest.
#pragma once

#include "base/sha256.h"
#include "formats/checkpoint.h"
#include "kernels/kv_layout.h"
#include "kernels/numerics.h"

namespace minke::engine {

/// Of the program (a build that computes otherwise is another program), the kernels, the arithmetic, the cache's type,
/// and the checkpoint: its configuration, and of each file length, time of change, beginning, and 64 bytes of tensors
/// in it. The weights are not read as a whole: that would take as long as the disk does.
base::Digest fingerprint(const formats::Checkpoint& checkpoint, std::string_view kernels, kernels::Numerics numerics,
                         kernels::KvType kv_type);

}  // namespace minke::engine
