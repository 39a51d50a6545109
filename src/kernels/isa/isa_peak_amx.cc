#include "kernels/isa/amx_tiles.h"
#include "kernels/peak_table.h"

namespace minke::kernels {
namespace {

/// tdpbssd on four tiles of sums, so that none waits for itself (latency 52 cycles, one every 16), operands in
/// registers: 16 x 16 x 64 multiply-adds each. Not of zeros, which go a fifth faster.
std::uint64_t int8(std::uint64_t steps) noexcept {
  TileConfig config{};
  config.palette = 1;
  for (int tile = 0; tile < 6; ++tile) {
    config.rows[tile] = 16;
    config.row_bytes[tile] = 64;
  }
  alignas(64) std::int8_t bytes[1024];
  for (int i = 0; i < 1024; ++i) bytes[i] = static_cast<std::int8_t>(37 * i + 11);
  AmxTiles tiles(config);
  tiles.zero<0>();
  tiles.zero<1>();
  tiles.zero<2>();
  tiles.zero<3>();
  tiles.load<4>(bytes, 64);
  tiles.load<5>(bytes, 64);
  const std::uint64_t rounds = steps / 64 + 1;  // a step of the others is 12 products of vectors
  for (std::uint64_t i = 0; i < rounds; ++i) {
    tiles.add_products<0, 4, 5>();
    tiles.add_products<1, 4, 5>();
    tiles.add_products<2, 4, 5>();
    tiles.add_products<3, 4, 5>();
  }
  return rounds * 4 * 2 * 16 * 16 * 64;
}

}  // namespace

constinit const PeakTable kAmxPeakTable = {.fp32 = nullptr, .int8 = &int8, .int4 = nullptr};

}  // namespace minke::kernels
