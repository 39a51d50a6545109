// The shapes of matrix tiles (Intel AMX), as the instruction that sets them reads them.
#pragma once

#include <cstdint>

namespace {

/// 64 bytes in memory (Intel SDM, "LDTILECFG"): palette 1 has eight tiles of up to 16 rows of up to 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace
