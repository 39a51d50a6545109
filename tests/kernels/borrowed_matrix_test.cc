// Matrices over bytes that nobody packed: what is refused, and that any bytes are multiplied without harm.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/activations.h"
#include "kernels/isa.h"
#include "kernels/ops.h"
#include "kernels/packed_matrix.h"
#include "linear_reference.h"
#include "linear_testing.h"

namespace minke::kernels {
namespace {

using formats::DType;
using testing::kAllTypes;

constexpr std::size_t kRows = 37, kCols = 512 + 256;

/// `size` bytes on a cache line, with nothing behind them that may be read (a sanitizer would see it).
class Bytes {
 public:
  explicit Bytes(std::size_t size) : size_(size), data_(static_cast<std::byte*>(std::aligned_alloc(64, size))) {}
  ~Bytes() { std::free(data_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  std::span<std::byte> all() const { return {data_, size_}; }

 private:
  std::size_t size_;
  std::byte* data_;
};

std::vector<DType> every_type() {
  std::vector<DType> types(std::begin(kAllTypes), std::end(kAllTypes));
  types.push_back(DType::f8_e4m3);
  return types;
}

void fill(std::span<std::byte> bytes, int pattern) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(pattern >= 0 ? pattern : static_cast<int>(base::uniform(3, 9, i) * 256));
}

TEST(BorrowedMatrix, IsWhatPackingMade) {
  base::ThreadPool pool(1);
  const std::vector<float> values = testing::random_values(kRows * kCols, 1);
  const PackedMatrix packed =
      PackedMatrix::pack({"w", DType::f32, kRows, kCols, std::as_bytes(std::span(values)), {}}, pool);
  const PackedMatrix borrowed =
      PackedMatrix::borrow("w", DType::f32, kRows, kCols, {packed.data(), static_cast<std::size_t>(packed.bytes())});
  EXPECT_EQ(borrowed.data(), packed.data());
  EXPECT_EQ(borrowed.tile_bytes(), packed.tile_bytes());
  std::vector<float> a(kCols), b(kCols);
  for (std::size_t row = 0; row < kRows; ++row) {
    packed.unpack_row(row, a);
    borrowed.unpack_row(row, b);
    ASSERT_EQ(a, b);
  }
}

TEST(BorrowedMatrix, RefusesBytesThatDoNotFit) {
  for (const DType type : every_type()) {
    const auto size = static_cast<std::size_t>(PackedMatrix::packed_bytes(type, kRows, kCols));
    const Bytes bytes(size + 64);
    EXPECT_NO_THROW(PackedMatrix::borrow("w", type, kRows, kCols, bytes.all().first(size)));
    for (const std::size_t wrong : {std::size_t{0}, size - 64, size - 1, size + 1, size + 64})
      EXPECT_THROW(PackedMatrix::borrow("w", type, kRows, kCols, bytes.all().first(wrong)), base::Error);
    EXPECT_THROW(PackedMatrix::borrow("w", type, 0, kCols, bytes.all().first(size)), base::Error);
    EXPECT_THROW(PackedMatrix::borrow("w", type, std::uint64_t{1} << 40, kCols, bytes.all().first(size)), base::Error);
    EXPECT_THROW(PackedMatrix::borrow("w", type, kRows, std::uint64_t{1} << 62, bytes.all().first(size)), base::Error);
    if (formats::info(type).block_elements > 1) {
      EXPECT_THROW(PackedMatrix::borrow("w", type, kRows, kCols + 1, bytes.all().first(size)), base::Error);
    }
  }
}

// Nothing is read or written out of bounds, and bytes that could have been packed give the same values everywhere.
TEST(BorrowedMatrix, AnyBytesAreMultipliedWithoutHarm) {
  base::ThreadPool pool(1);
  constexpr std::size_t kInputs[] = {1, 5};
  for (const DType type : every_type()) {
    const Bytes bytes(static_cast<std::size_t>(PackedMatrix::packed_bytes(type, kRows, kCols)));
    const PackedMatrix matrix = PackedMatrix::borrow("w", type, kRows, kCols, bytes.all());
    for (const int pattern : {0xFF, 0x7F, 0x80, 0x55, 0, -1}) {
      fill(bytes.all(), pattern);
      std::vector<float> row(kCols);
      for (std::size_t r = 0; r < kRows; ++r) matrix.unpack_row(r, row);
      for (const Numerics numerics : {Numerics::exact, Numerics::fast})
        for (const std::size_t rows : kInputs) {
          const std::vector<float> x = testing::random_values(rows * kCols, 2);
          std::vector<float> first;
          for (const Isa isa : available_isas()) {
            // Other arithmetic: held to its own reference in linear_test.cc.
            const bool other =
                testing::in_blocks(kernel_table(isa), type) || testing::in_halves(kernel_table(isa), type);
            const Ops ops(kernel_table(isa), pool, numerics);
            Activations activations(rows, kCols);
            ops.prepare(x.data(), rows, kCols, kCols, activations);
            std::vector<float> y(rows * kRows);
            ops.linear(activations, matrix, nullptr, y.data(), kRows);
            if (first.empty()) first = y;
            if (other && numerics == Numerics::fast) continue;
            // Packing refuses halves that are not finite, so conversions may differ in what they make of them.
            if (pattern != 0x55 && pattern != 0) continue;
            for (std::size_t i = 0; i < y.size(); ++i)
              ASSERT_EQ(y[i], first[i]) << formats::info(type).name << " " << to_string(isa) << " pattern " << pattern;
          }
        }
    }
  }
}

}  // namespace
}  // namespace minke::kernels
