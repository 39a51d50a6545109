// Packing against the gguf package's values (tests/golden/codecs), and what it refuses.
#include "kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/codec.h"
#include "linear_testing.h"

namespace minke::kernels {
namespace {

using formats::DType;
using testing::kAllTypes;
using testing::random_weights;

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes;
  std::transform(std::istreambuf_iterator<char>(file), {}, std::back_inserter(bytes),
                 [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

TEST(PackedMatrix, UnpacksToTheReferenceValues) {
  base::ThreadPool pool(2);
  for (const DType type : kAllTypes) {
    if (type == DType::f32) continue;  // has no golden: its values are the file's
    const std::string name(formats::info(type).name);
    SCOPED_TRACE(name);
    const std::string stem = std::string(MINKE_SOURCE_DIR) + "/tests/golden/codecs/" + name;
    const std::vector<std::byte> raw = read_file(stem + ".raw"), values = read_file(stem + ".f32");
    constexpr std::size_t kRows = 17, kCols = 512;
    ASSERT_EQ(values.size(), kRows * kCols * 4);
    const PackedMatrix matrix = PackedMatrix::pack({name, type, kRows, kCols, raw, {}}, pool);
    std::vector<float> row(kCols);
    for (std::size_t r = 0; r < kRows; ++r) {
      matrix.unpack_row(r, row);
      for (std::size_t k = 0; k < kCols; ++k) {
        float expected;
        std::memcpy(&expected, values.data() + 4 * (r * kCols + k), 4);
        ASSERT_EQ(std::bit_cast<std::uint32_t>(row[k]), std::bit_cast<std::uint32_t>(expected))
            << "row " << r << " column " << k << ": " << row[k] << " instead of " << expected;
      }
    }
  }
}

TEST(PackedMatrix, RowOrderAndPadding) {
  base::ThreadPool pool(1);
  for (const DType type : kAllTypes) {
    const std::size_t cols = formats::info(type).block_elements * (formats::info(type).block_elements == 1 ? 53 : 3);
    for (const std::size_t rows : {1U, 15U, 16U, 17U, 40U}) {
      SCOPED_TRACE(std::string(formats::info(type).name) + " rows " + std::to_string(rows));
      const std::vector<std::byte> raw = random_weights(type, rows, cols, 7);
      std::vector<std::uint32_t> order(rows);
      std::iota(order.rbegin(), order.rend(), 0U);
      const PackedMatrix plain = PackedMatrix::pack({"w", type, rows, cols, raw, {}}, pool);
      const PackedMatrix turned = PackedMatrix::pack({"w", type, rows, cols, raw, order}, pool);
      EXPECT_EQ(plain.bytes(), PackedMatrix::packed_bytes(type, rows, cols));
      std::vector<float> a(cols), b(cols);
      for (std::size_t r = 0; r < rows; ++r) {
        plain.unpack_row(order[r], a);
        turned.unpack_row(r, b);
        ASSERT_EQ(std::memcmp(a.data(), b.data(), cols * 4), 0) << "row " << r;
      }
    }
  }
}

TEST(PackedMatrix, StaysNearTheFilesSize) {
  for (const DType type : kAllTypes) {
    const formats::DTypeInfo& t = formats::info(type);
    const double file = 4096.0 * 4096.0 / t.block_elements * t.block_bytes;
    const double ratio = static_cast<double>(PackedMatrix::packed_bytes(type, 4096, 4096)) / file;
    // IQ1 to IQ3: padding after few bytes of scales, and eight signs where a file has seven.
    const bool grid = type >= DType::iq1_s && type <= DType::iq3_s;
    EXPECT_LE(ratio, grid ? 1.092 : 1.03) << t.name;
    EXPECT_GE(ratio, 1.0) << t.name;
  }
}

/// Message of the Error with `code` that packing must throw.
std::string refusal(const MatrixSource& source, base::ErrorCode code) {
  base::ThreadPool pool(2);
  try {
    static_cast<void>(PackedMatrix::pack(source, pool));
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    return error.message();
  }
  ADD_FAILURE() << "packed";
  return {};
}

TEST(PackedMatrix, RefusesNonFiniteValues) {
  struct Place {
    DType type;
    std::size_t offset;  ///< in a block
    std::vector<std::uint8_t> bad;
  };
  const std::vector<std::uint8_t> half_nan = {0x01, 0x7e}, half_inf = {0x00, 0xfc};
  std::vector<Place> places = {
      {DType::f32, 0, {0, 0, 0xc0, 0x7f}},
      {DType::f32, 0, {0, 0, 0x80, 0xff}},
      {DType::f16, 0, half_nan},
      {DType::f16, 0, half_inf},
      {DType::bf16, 0, {0xc0, 0x7f}},
      {DType::bf16, 0, {0x80, 0xff}},
      {DType::q2_k, 80, half_nan},
      {DType::q2_k, 82, half_inf},
      {DType::q3_k, 108, half_nan},
      {DType::q6_k, 208, half_inf},
      {DType::q4_1, 2, half_nan},
      {DType::q5_1, 2, half_inf},
      {DType::q4_k, 2, half_nan},
      {DType::q5_k, 2, half_inf},
      {DType::iq1_m, 48, {0, 0xf0, 0, 0xf0, 0, 0xf0, 0, 0x70}},
      {DType::mxfp4, 0, {0xff}},
      {DType::mxfp4, 0, {253}},
  };
  for (const DType type :
       {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::q4_k, DType::q5_k, DType::iq4_nl,
        DType::iq4_xs, DType::iq1_s, DType::iq2_xxs, DType::iq2_xs, DType::iq2_s, DType::iq3_xxs, DType::iq3_s})
    places.push_back({type, 0, half_nan});
  for (const Place& place : places) {
    const formats::DTypeInfo& t = formats::info(place.type);
    SCOPED_TRACE(std::string(t.name));
    std::vector<std::byte> raw = random_weights(place.type, 20, 3 * t.block_elements, 3);
    // Row 18, block 1, and a later one that must not be the one named.
    for (const std::size_t block : {18U * 3U + 1U, 19U * 3U})
      std::memcpy(raw.data() + block * t.block_bytes + place.offset, place.bad.data(), place.bad.size());
    const std::string message =
        refusal({"blk.0.bad", place.type, 20, 3 * t.block_elements, raw, {}}, base::ErrorCode::numeric);
    EXPECT_NE(message.find("blk.0.bad"), std::string::npos) << message;
    EXPECT_NE(message.find("row 18, block 1:"), std::string::npos) << message;
  }
}

TEST(PackedMatrix, RefusesWhatDoesNotFit) {
  const std::vector<std::byte> raw(1024);
  using base::ErrorCode;
  EXPECT_NE(refusal({"w", DType::f32, 16, 17, raw, {}}, ErrorCode::format).find("1088"), std::string::npos);
  refusal({"w", DType::q4_k, 16, 128, raw, {}}, ErrorCode::format);
  refusal({"w", DType::f32, 0, 16, raw, {}}, ErrorCode::format);
  refusal({"w", DType::f32, 16, 0, raw, {}}, ErrorCode::format);
  refusal({"w", DType::f32, std::uint64_t{1} << 31, std::uint64_t{1} << 33, raw, {}}, ErrorCode::format);
  const std::vector<std::byte> bytes(32 * 32);
  EXPECT_NE(refusal({"w", DType::f8_e4m3, 32, 32, bytes, {}}, ErrorCode::format).find("scales"), std::string::npos);
  const std::vector<std::uint32_t> outside(16, 16), too_short(3, 0);
  refusal({"w", DType::f32, 16, 16, raw, outside}, ErrorCode::invalid_argument);
  refusal({"w", DType::f32, 16, 16, raw, too_short}, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace minke::kernels
