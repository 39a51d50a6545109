// How a matrix is divided among memory nodes: each has a run of its outputs. Packing writes what multiplying reads, so
// on a machine with several nodes every thread reads weights from the memory beside it, whichever experts a token
// takes: each expert's intermediate outputs are divided, too, and activations, which are small, are what crosses.
#pragma once

#include <cstddef>

#include "kernels/codec.h"

namespace minke::kernels {

/// Tiles that are cut together: 32 outputs, a whole group of the quantised activations that they may become.
inline constexpr std::size_t kTilesTogether = kGroupInputs / kTileOutputs;

/// Node n has the tiles [n * node_tiles, (n + 1) * node_tiles) of a matrix of `rows` outputs, those that exist.
constexpr std::size_t node_tiles(std::size_t rows, std::size_t nodes) noexcept {
  const std::size_t pairs = (rows + kGroupInputs - 1) / kGroupInputs;
  return (pairs + nodes - 1) / nodes * kTilesTogether;
}

}  // namespace minke::kernels
