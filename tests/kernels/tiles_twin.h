// The tiles of Intel AMX in plain C++. Included after simd_scalar.h, whose lanes it rounds.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "kernels/codec.h"
#include "kernels/isa/tile_config.h"

namespace minke::kernels {
namespace {

/// What AMX does (Intel SDM, volume 2: LDTILECFG, TILELOADD, TDPBSSD, TDPBF16PS, TILESTORED), and refuses.
class TilesTwin {
 public:
  explicit TilesTwin(const TileConfig& config) : config_(config) {
    require(config.palette == 1 && config.start_row == 0, "palette");
    for (const std::uint8_t byte : config.reserved) require(byte == 0, "reserved bytes");
    for (int tile = 0; tile < 16; ++tile) {
      require((config.rows[tile] == 0) == (config.row_bytes[tile] == 0), "rows without bytes or bytes without rows");
      require(config.rows[tile] <= (tile < 8 ? 16 : 0) && config.row_bytes[tile] <= 64, "size");
    }
  }

  template <int kTile>
  void zero() {
    require(config_.rows[kTile] != 0, "a tile without shape");
    tiles_[kTile] = {};
  }
  template <int kTile>
  void load(const void* from, std::size_t stride) {
    zero<kTile>();
    for (std::size_t row = 0; row < config_.rows[kTile]; ++row)
      std::memcpy(tiles_[kTile][row].data(), static_cast<const std::byte*>(from) + row * stride,
                  config_.row_bytes[kTile]);
  }
  template <int kTile>
  void store(void* to, std::size_t stride) {
    require(config_.rows[kTile] != 0, "a tile without shape");
    for (std::size_t row = 0; row < config_.rows[kTile]; ++row)
      std::memcpy(static_cast<std::byte*>(to) + row * stride, tiles_[kTile][row].data(), config_.row_bytes[kTile]);
  }
  template <int kTo, int kA, int kB>
  void add_products() {
    require_fitting<kTo, kA, kB>();
    for (std::size_t m = 0; m < config_.rows[kTo]; ++m)
      for (std::size_t n = 0; n < config_.row_bytes[kTo] / 4; ++n) {
        std::uint32_t sum;  // wraps, as the instruction does
        std::memcpy(&sum, &tiles_[kTo][m][4 * n], 4);
        for (std::size_t k = 0; k < config_.row_bytes[kA]; ++k) {
          sum += static_cast<std::uint32_t>(tiles_[kA][m][k] * tiles_[kB][k / 4][4 * n + k % 4]);
        }
        std::memcpy(&tiles_[kTo][m][4 * n], &sum, 4);
      }
  }

  template <int kTo, int kA, int kB>
  void add_bf16_products() {
    require_fitting<kTo, kA, kB>();
    for (std::size_t m = 0; m < config_.rows[kTo]; ++m)
      for (std::size_t n = 0; n < config_.row_bytes[kTo] / 4; ++n) {
        float sums[2] = {};
        for (std::size_t k = 0; k < config_.row_bytes[kA] / 2; ++k) {
          const float a = number(&tiles_[kA][m][2 * k]), b = number(&tiles_[kB][k / 2][4 * n + k % 2 * 2]);
          sums[k % 2] = normal(std::fma(a, b, sums[k % 2]));
        }
        float sum;
        std::memcpy(&sum, &tiles_[kTo][m][4 * n], 4);
        sum = normal(normal(sum) + normal(sums[0] + sums[1]));
        std::memcpy(&tiles_[kTo][m][4 * n], &sum, 4);
      }
  }

  /// 32 numbers as BF16 (VCVTNE2PS2BF16).
  static void round_bf16(Simd::F first, Simd::F second, std::uint16_t* to) {
    for (Simd::F* lanes : {&first, &second})
      for (float& x : lanes->v) x = normal(x);
    Simd::store_bf16(to, first);
    Simd::store_bf16(to + 16, second);
  }
  /// FP8 (E4M3) weights [4 inputs][16] as BF16 [2][16][2 inputs].
  static void widen_f8(const std::uint8_t* from, std::uint16_t* to) {
    for (std::size_t input = 0; input < 4; ++input)
      for (std::size_t output = 0; output < 16; ++output)
        to[input / 2 * 32 + 2 * output + input % 2] =
            static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(f8_to_float(from[16 * input + output])) >> 16);
  }

 private:
  static float number(const std::int8_t* half) {
    std::uint16_t bits;
    std::memcpy(&bits, half, 2);
    return normal(std::bit_cast<float>(std::uint32_t{bits} << 16));
  }
  /// Subnormals are zero, with their sign.
  static float normal(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x; }

  template <int kTo, int kA, int kB>
  void require_fitting() const {
    require(config_.rows[kTo] == config_.rows[kA] && config_.rows[kTo] != 0, "rows of sum and first operand");
    require(config_.row_bytes[kTo] == config_.row_bytes[kB], "columns of sum and second operand");
    require(config_.row_bytes[kA] == 4 * config_.rows[kB], "the operands' inner sizes");
  }
  static void require(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);  // the processor raises #UD or #GP; here a noexcept kernel ends the test
  }

  using Tile = std::array<std::array<std::int8_t, 64>, 16>;
  TileConfig config_;
  std::array<Tile, 8> tiles_{};
};

}  // namespace
}  // namespace minke::kernels
