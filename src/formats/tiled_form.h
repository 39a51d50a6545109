// Constants of the tiled form that its reader and its writer share.
#pragma once

#include <cstdint>

#include "formats/tiled.h"

namespace minke::formats {

/// Bytes before the first text.
inline constexpr std::uint64_t kTiledFixedBytes = 64;
/// Where the header's checksum is; it counts as zeros in itself.
inline constexpr std::uint64_t kTiledChecksumAt = 56;

constexpr std::uint64_t tiled_align(TensorLayout layout) {
  return layout == TensorLayout::tiles ? kTiledMatrixAlign : kTiledVectorAlign;
}

}  // namespace minke::formats
