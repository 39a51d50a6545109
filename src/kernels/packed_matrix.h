// Weights as the kernels read them: one tile family for all instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "formats/dtype.h"

namespace minke::kernels {

/// Where a matrix comes from: `rows` outputs by `cols` inputs, as the file has it.
struct MatrixSource {
  std::string_view name;  ///< for messages
  formats::DType dtype = formats::DType::f32;
  std::uint64_t rows = 0, cols = 0;
  std::span<const std::byte> data;
  /// Packed row i is the file's row row_order[i] (size rows), or the file's order when empty. GGUF stores
  /// the llama architecture's q and k with rotary pairs side by side; reordering rows undoes it without loss.
  std::span<const std::uint32_t> row_order;
  /// FP8: the scale of each block of 128 rows and 128 columns, [ceil(rows / 128)][ceil(cols / 128)] fp32 in file
  /// order; file row `first_row` of the whole tensor is row 0 of `data`.
  std::span<const std::byte> scales;
  std::uint64_t first_row = 0;
};

/// Frees what pack() got, and leaves what was borrowed.
struct FreePacked {
  bool owned = true;
  void operator()(const std::byte* p) const noexcept;
};

/// A weight matrix W[rows][cols] tiled in its own precision: tiles of 16 outputs, along K in groups of
/// 4 bytes per output (pairs for 16-bit types), scales beside them. Rows are padded to 16 with zeros.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Re-tiles in parallel. Throws Error(numeric) naming tensor, row and block when a scale or a weight is
  /// NaN or infinite; Error(out_of_memory) when the memory cannot be had; Error(unsupported) for a type
  /// without a codec; Error(format) when bytes, shape and type do not fit together.
  static PackedMatrix pack(const MatrixSource& source, base::ThreadPool& pool);

  /// Over bytes that are packed already, as a tiled file has them: they are not copied and must outlive the matrix and
  /// be aligned to kTileAlign. Nothing is read of them: whatever they hold, products are computed without harm, though
  /// they may be NaN. Error(format) names `name` when shape, type and size do not fit together.
  static PackedMatrix borrow(std::string_view name, formats::DType dtype, std::uint64_t rows, std::uint64_t cols,
                             std::span<const std::byte> packed);

  /// Bytes that pack() will hold for such a matrix (for the estimate before loading).
  static std::uint64_t packed_bytes(formats::DType dtype, std::uint64_t rows, std::uint64_t cols);

  bool empty() const noexcept { return rows_ == 0; }
  formats::DType dtype() const noexcept { return dtype_; }
  std::size_t rows() const noexcept { return rows_; }
  std::size_t cols() const noexcept { return cols_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  const std::byte* data() const noexcept { return data_.get(); }
  /// Bytes from one tile of 16 outputs to the next (layout: kernels/codec.h).
  std::size_t tile_bytes() const noexcept { return tile_bytes_; }

  /// The exact fp32 values of one row: bit-identical to the reference dequantisation of the file's row.
  void unpack_row(std::size_t row, std::span<float> out) const;

 private:
  PackedMatrix(formats::DType dtype, std::uint64_t rows, std::uint64_t cols);

  formats::DType dtype_ = formats::DType::f32;
  std::size_t rows_ = 0, cols_ = 0, tile_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<const std::byte[], FreePacked> data_;  // 64-byte aligned; huge pages asked for where it is owned
};

}  // namespace minke::kernels
