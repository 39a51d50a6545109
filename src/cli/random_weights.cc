#include "cli/random_weights.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "kernels/codec.h"

namespace minke::cli {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::uint64_t kKeptBits = 0xbfbfbfbfbfbfbfbfU;

/// SplitMix64 (Steele, Lea, Flood 2014): quick, and good enough for weights that mean nothing.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace

std::vector<std::byte> random_bytes(formats::DType dtype, std::uint64_t elements, std::uint64_t seed,
                                    base::ThreadPool& pool) {
  const formats::DTypeInfo& type = formats::info(dtype);
  std::vector<std::byte> bytes(elements / type.block_elements * type.block_bytes);
  pool.run((bytes.size() + kPieceBytes - 1) / kPieceBytes, [&](std::size_t piece) {
    const std::size_t end = std::min(bytes.size(), (piece + 1) * kPieceBytes);
    for (std::size_t at = piece * kPieceBytes; at < end; at += 8) {
      const std::uint64_t word = mixed(mixed(seed) + at) & kKeptBits;
      std::memcpy(bytes.data() + at, &word, std::min<std::size_t>(8, end - at));
    }
  });
  return bytes;
}

kernels::PackedMatrix random_matrix(std::string_view name, formats::DType dtype, std::uint64_t rows, std::uint64_t cols,
                                    std::uint64_t seed, base::ThreadPool& pool) {
  const std::vector<std::byte> bytes = random_bytes(dtype, rows * cols, seed, pool);
  kernels::MatrixSource source{.name = name, .dtype = dtype, .rows = rows, .cols = cols, .data = bytes};
  std::vector<float> scales;
  if (dtype == formats::DType::f8_e4m3) {
    const auto blocks = [](std::uint64_t n) { return (n + kernels::kF8Block - 1) / kernels::kF8Block; };
    scales.assign(blocks(rows) * blocks(cols), 0x1p-7F);
    source.scales = std::as_bytes(std::span(scales));
  }
  return kernels::PackedMatrix::pack(source, pool);
}

std::vector<float> random_floats(std::size_t count, std::uint64_t seed) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(static_cast<double>(mixed(mixed(seed) + i) >> 11) * 0x1p-52 - 1.0);
  }
  return values;
}

}  // namespace minke::cli
