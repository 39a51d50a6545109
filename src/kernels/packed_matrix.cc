#include "kernels/packed_matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/codec.h"
#include "kernels/node_split.h"

namespace minke::kernels {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using formats::DType;

constexpr std::size_t kHugePage = std::size_t{2} << 20;
/// A task of packing: large against a barrier (microseconds), small against a matrix.
constexpr std::uint64_t kPackTaskBytes = std::uint64_t{256} << 10;

std::string shape_text(const MatrixSource& source) {
  return cat("tensor '", source.name, "' (", formats::info(source.dtype).name, " [", source.rows, ", ", source.cols,
             "])");
}

void check_shape(const MatrixSource& source) {
  if (source.rows == 0 || source.cols == 0)
    throw Error(ErrorCode::format, cat(shape_text(source), ": a matrix needs rows and columns"));
  if (source.rows > std::numeric_limits<std::uint32_t>::max())
    throw Error(ErrorCode::format, cat(shape_text(source), ": expected fewer than 2^32 rows"));
  const std::uint64_t block = formats::info(source.dtype).block_elements;
  if (source.cols % block != 0)
    throw Error(ErrorCode::format, cat(shape_text(source), ": columns expected a multiple of ", block));
}

void check_source(const MatrixSource& source) {
  check_shape(source);
  const formats::DTypeInfo& type = formats::info(source.dtype);
  const std::uint64_t row_bytes = base::checked_mul(source.cols / type.block_elements, type.block_bytes, source.name);
  const std::uint64_t expected = base::checked_mul(source.rows, row_bytes, source.name);
  if (source.data.size() != expected)
    throw Error(ErrorCode::format,
                cat(shape_text(source), ": expected ", expected, " bytes, got ", source.data.size()));
  if (source.dtype == DType::f8_e4m3) {
    const auto blocks = [](std::uint64_t n) { return n / kF8Block + (n % kF8Block != 0 ? 1 : 0); };
    const std::uint64_t needed = base::checked_mul(
        blocks(base::checked_add(source.first_row, source.rows, source.name)), blocks(source.cols) * 4, source.name);
    if (source.scales.size() < needed)
      throw Error(ErrorCode::format, cat(shape_text(source), ": expected at least ", needed, " bytes of scales, got ",
                                         source.scales.size()));
  }
  if (source.row_order.empty()) return;
  if (source.row_order.size() != source.rows)
    throw Error(ErrorCode::invalid_argument, cat(shape_text(source), ": row order expected ", source.rows,
                                                 " entries, got ", source.row_order.size()));
  for (const std::uint32_t row : source.row_order)
    if (row >= source.rows)
      throw Error(ErrorCode::invalid_argument, cat(shape_text(source), ": row order names row ", row));
}

/// The first bad place that any task found, as file row * blocks + block, or none.
class FirstBad {
 public:
  void report(std::uint64_t place) noexcept {
    std::uint64_t seen = place_.load(std::memory_order_relaxed);
    while (place < seen && !place_.compare_exchange_weak(seen, place, std::memory_order_relaxed)) {
    }
  }
  std::uint64_t place() const noexcept { return place_.load(std::memory_order_relaxed); }
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

 private:
  std::atomic<std::uint64_t> place_{kNone};
};

/// Packs tiles of one source.
class Packer {
 public:
  Packer(const MatrixSource& source, std::byte* out, std::size_t tile_bytes)
      : source_(source), out_(reinterpret_cast<std::uint8_t*>(out)), tile_bytes_(tile_bytes) {
    const formats::DTypeInfo& type = formats::info(source.dtype);
    cols_ = static_cast<std::size_t>(source.cols);
    blocks_ = cols_ / type.block_elements;
    block_bytes_ = type.block_bytes;
    codec_ = find_codec(source.dtype);
  }

  void pack_tile(std::size_t tile) noexcept {
    std::uint8_t* out = out_ + tile * tile_bytes_;
    const std::uint64_t first = std::uint64_t{tile} * kTileOutputs;
    const std::size_t rows = static_cast<std::size_t>(std::min<std::uint64_t>(kTileOutputs, source_.rows - first));
    if (codec_ != nullptr) {
      pack_quantised(first, rows, out);
    } else if (source_.dtype == DType::f8_e4m3) {
      pack_f8(first, rows, out);
    } else if (source_.dtype == DType::f32) {
      pack_f32(first, rows, out);
    } else {
      pack_16_bit(first, rows, out);
    }
  }

  std::uint64_t first_bad() const noexcept { return bad_.place(); }
  std::uint64_t blocks() const noexcept { return blocks_; }

 private:
  std::uint64_t file_row(std::uint64_t row) const noexcept {
    return source_.row_order.empty() ? row : source_.row_order[static_cast<std::size_t>(row)];
  }
  const std::uint8_t* row_data(std::uint64_t row) const noexcept {
    return reinterpret_cast<const std::uint8_t*>(source_.data.data()) + file_row(row) * blocks_ * block_bytes_;
  }
  void bad(std::uint64_t row, std::size_t block) noexcept { bad_.report(file_row(row) * blocks_ + block); }

  void pack_quantised(std::uint64_t first, std::size_t rows, std::uint8_t* out) noexcept {
    std::memset(out, 0, tile_bytes_);
    const std::size_t groups = static_cast<std::size_t>(codec_->block) / kGroupInputs;
    CodecBlock part[kTileOutputs];
    for (std::size_t n = rows; n < kTileOutputs; ++n) std::memset(&part[n], 0, sizeof part[n]);
    for (std::size_t block = 0; block < blocks_; ++block) {
      const BlockPlace place = block_place(*codec_, cols_ / kGroupInputs, block);
      for (std::size_t n = 0; n < rows; ++n) {
        read_block(*codec_, row_data(first + n) + block * block_bytes_, part[n]);
        if (!is_finite(*codec_, part[n])) bad(first + n, block);
        write_scales(*codec_, part[n], n, out + place.scales);
      }
      for (std::size_t g = 0; g < groups; ++g)
        write_group(*codec_, part, g, out + place.planes + g * group_bytes(*codec_));
    }
  }

  void pack_f32(std::uint64_t first, std::size_t rows, std::uint8_t* out) noexcept {
    if (rows < kTileOutputs) std::memset(out, 0, tile_bytes_);
    for (std::size_t n = 0; n < rows; ++n) {
      const std::uint8_t* row = row_data(first + n);
      for (std::size_t k = 0; k < cols_; ++k) {
        std::uint32_t bits;
        std::memcpy(&bits, row + 4 * k, 4);
        if ((bits & 0x7f800000U) == 0x7f800000U) bad(first + n, k);
        std::memcpy(out + 4 * (kTileOutputs * k + n), &bits, 4);
      }
    }
  }

  void pack_f8(std::uint64_t first, std::size_t rows, std::uint8_t* out) noexcept {
    std::memset(out, 0, tile_bytes_);
    const std::size_t scale_cols = (cols_ + kF8Block - 1) / kF8Block;
    std::uint8_t* scales = out + kTileOutputs * cols_;
    for (std::size_t n = 0; n < rows; ++n) {
      const std::uint8_t* row = row_data(first + n);
      for (std::size_t k = 0; k < cols_; ++k) {
        if ((row[k] & 0x7fU) == 0x7fU) bad(first + n, k);
        out[kTileOutputs * k + n] = row[k];
      }
      const std::uint64_t scale_row = (source_.first_row + file_row(first + n)) / kF8Block;
      for (std::size_t b = 0; b < scale_cols; ++b) {
        std::uint32_t bits;
        std::memcpy(&bits, source_.scales.data() + 4 * (scale_row * scale_cols + b), 4);
        if ((bits & 0x7f800000U) >= 0x7b800000U) bad(first + n, b * kF8Block);  // kernels take 256 times the scale
        std::memcpy(scales + 4 * (kTileOutputs * b + n), &bits, 4);
      }
    }
  }

  void pack_16_bit(std::uint64_t first, std::size_t rows, std::uint8_t* out) noexcept {
    const std::uint16_t exponent = source_.dtype == DType::f16 ? 0x7c00U : 0x7f80U;
    if (rows < kTileOutputs || cols_ % 2 != 0) std::memset(out, 0, tile_bytes_);
    for (std::size_t n = 0; n < rows; ++n) {
      const std::uint8_t* row = row_data(first + n);
      for (std::size_t k = 0; k < cols_; ++k) {
        std::uint16_t bits;
        std::memcpy(&bits, row + 2 * k, 2);
        if ((bits & exponent) == exponent) bad(first + n, k);
        std::memcpy(out + 2 * (2 * (kTileOutputs * (k / 2) + n) + k % 2), &bits, 2);
      }
    }
  }

  const MatrixSource& source_;
  std::uint8_t* out_;
  std::size_t tile_bytes_;
  std::size_t cols_ = 0, blocks_ = 0, block_bytes_ = 0;
  const CodecSpec* codec_ = nullptr;
  FirstBad bad_;
};

}  // namespace

void FreePacked::operator()(const std::byte* p) const noexcept {
  if (owned) std::free(const_cast<std::byte*>(p));
}

PackedMatrix::PackedMatrix(DType dtype, std::uint64_t rows, std::uint64_t cols)
    : dtype_(dtype),
      rows_(static_cast<std::size_t>(rows)),
      cols_(static_cast<std::size_t>(cols)),
      tile_bytes_(static_cast<std::size_t>(kernels::tile_bytes(dtype, cols))),
      bytes_(packed_bytes(dtype, rows, cols)) {}

std::uint64_t PackedMatrix::packed_bytes(DType dtype, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t tiles = rows / kTileOutputs + (rows % kTileOutputs != 0 ? 1 : 0);
  return base::checked_mul(tiles, kernels::tile_bytes(dtype, cols), "packed matrix");
}

PackedMatrix PackedMatrix::pack(const MatrixSource& source, base::ThreadPool& pool) {
  check_source(source);
  PackedMatrix matrix(source.dtype, source.rows, source.cols);
  const std::size_t align = matrix.bytes_ >= 2 * kHugePage ? kHugePage : kTileAlign;
  const std::uint64_t size = base::checked_add(matrix.bytes_, align - 1, source.name) / align * align;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(align, static_cast<std::size_t>(size)));
  matrix.data_.reset(memory);
  if (matrix.data_ == nullptr)
    throw Error(ErrorCode::out_of_memory,
                cat(shape_text(source), ": could not get ", size, " bytes for its packed form"),
                "use a smaller or more strongly quantised model");
  // Only speed depends on it, so a refusal is no error.
  if (align == kHugePage) static_cast<void>(::madvise(memory, static_cast<std::size_t>(size), MADV_HUGEPAGE));

  Packer packer(source, memory, matrix.tile_bytes_);
  const std::size_t tiles = (matrix.rows_ + kTileOutputs - 1) / kTileOutputs;
  const std::size_t per_task =
      static_cast<std::size_t>(std::max<std::uint64_t>(1, kPackTaskBytes / matrix.tile_bytes_));
  // The thread that writes a page first has it in the memory of its node.
  const std::size_t of_node = std::min(tiles, node_tiles(matrix.rows_, pool.nodes()));
  const std::size_t tasks = (of_node + per_task - 1) / per_task;
  const auto task = [&](std::size_t index) {
    const std::size_t node_first = index / tasks * of_node, first = node_first + index % tasks * per_task;
    const std::size_t end = std::min({tiles, node_first + of_node, first + per_task});
    for (std::size_t tile = first; tile < end; ++tile) packer.pack_tile(tile);
  };
  pool.run_by_node(tasks, task);

  if (packer.first_bad() != FirstBad::kNone)
    throw Error(ErrorCode::numeric,
                cat(shape_text(source), ": row ", packer.first_bad() / packer.blocks(), ", block ",
                    packer.first_bad() % packer.blocks(), ": the scale or weight is NaN or infinite",
                    source.dtype == DType::f8_e4m3 ? ", or the scale 2^120 or more" : ""),
                "the file is damaged, or was converted from a damaged one");
  return matrix;
}

PackedMatrix PackedMatrix::borrow(std::string_view name, DType dtype, std::uint64_t rows, std::uint64_t cols,
                                  std::span<const std::byte> packed) {
  const MatrixSource shape{.name = name, .dtype = dtype, .rows = rows, .cols = cols};
  check_shape(shape);
  PackedMatrix matrix(dtype, rows, cols);
  if (packed.size() != matrix.bytes_)
    throw Error(ErrorCode::format,
                cat(shape_text(shape), ": expected ", matrix.bytes_, " bytes of tiles, got ", packed.size()));
  assert(reinterpret_cast<std::uintptr_t>(packed.data()) % kTileAlign == 0);
  matrix.data_ = {packed.data(), FreePacked{.owned = false}};
  return matrix;
}

void PackedMatrix::unpack_row(std::size_t row, std::span<float> out) const {
  const auto* tile = reinterpret_cast<const std::uint8_t*>(data_.get()) + row / kTileOutputs * tile_bytes_;
  const std::size_t output = row % kTileOutputs;
  if (const CodecSpec* codec = find_codec(dtype_)) {
    const auto block_cols = static_cast<std::size_t>(codec->block);
    CodecBlock block;
    for (std::size_t b = 0; b < cols_ / block_cols; ++b) {
      const BlockPlace place = block_place(*codec, cols_ / kGroupInputs, b);
      read_tile_block(*codec, tile + place.planes, tile + place.scales, output, block);
      dequantise(*codec, block, out.data() + b * block_cols);
    }
    return;
  }
  for (std::size_t k = 0; k < cols_; ++k) {
    if (dtype_ == DType::f8_e4m3) {
      float scale;
      std::memcpy(&scale, tile + kTileOutputs * cols_ + 4 * (kTileOutputs * (k / kF8Block) + output), 4);
      out[k] = f8_to_float(tile[kTileOutputs * k + output]) * scale;
      continue;
    }
    if (dtype_ == DType::f32) {
      std::memcpy(&out[k], tile + 4 * (kTileOutputs * k + output), 4);
      continue;
    }
    std::uint16_t bits;
    std::memcpy(&bits, tile + 2 * (2 * (kTileOutputs * (k / 2) + output) + k % 2), 2);
    if (dtype_ == DType::f16) {
      out[k] = half_to_float(bits);
    } else {
      const std::uint32_t wide = std::uint32_t{bits} << 16;
      std::memcpy(&out[k], &wide, 4);
    }
  }
}

}  // namespace minke::kernels
