// Products on Intel AMX's tiles, on processors without them: the kernel's source over a twin of the tiles in plain
// C++, held bit for bit against references. (Where the processor has AMX, linear_test.cc runs the real ones.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include "base/random.h"
#include "kernels/activations.h"
#include "kernels/isa.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"
#include "linear_reference.h"
#include "linear_testing.h"

// As in isa_amx.cc.
// clang-format off
#include "kernels/isa/simd_scalar.h"
#include "kernels/isa/linear_rows.inl"
#include "kernels/isa/linear_bytes.inl"
#include "tiles_twin.h"
#include "kernels/isa/linear_tiles.inl"
#include "kernels/isa/linear_blocks.inl"
#include "kernels/isa/quantize_block.inl"
#include "kernels/isa/linear_block_tiles.inl"
#include "kernels/isa/linear_half_tiles.inl"
#include "kernels/isa/linear_f8_tiles.inl"
// clang-format on

namespace minke::kernels {
namespace {

KernelTable twin_table() {
  KernelTable table = kernel_table(Isa::scalar);
  table.name = "amx twin";
  table.linear_bytes = &linear_bytes_on_tiles<TilesTwin, kScalarTable>;
  table.linear_blocks = &linear_blocks_on_tiles<TilesTwin>;
  table.quantize_block = &quantize_block;
  table.linear_halves = &linear_halves_on_tiles<TilesTwin>;
  table.round_halves = &round_halves<TilesTwin>;
  return table;
}

TEST(AmxTwin, MultipliesSignedBytes) {
  TileConfig config{};
  config.palette = 1;
  const auto shape = [&config](int tile, std::uint8_t rows, std::uint16_t bytes) {
    config.rows[tile] = rows;
    config.row_bytes[tile] = bytes;
  };
  shape(0, 3, 8);  // 3 x 2 sums
  shape(1, 3, 8);  // 3 x 8
  shape(2, 2, 8);  // 8 x 2
  TilesTwin tiles(config);
  const std::int8_t a[3][8] = {{1, 2, 3, 4, 5, 6, 7, 8}, {-128, 0, 0, 0, 0, 0, 0, 127}, {0, 0, 0, 0, 0, 0, 0, 0}};
  // Of column n, inputs 4 k .. 4 k + 3 lie at [k][4 n].
  const std::int8_t b[2][8] = {{1, 1, 1, 1, -128, 2, 3, 4}, {1, 1, 1, 1, 5, 6, 7, -128}};
  std::int32_t sums[3][2] = {{1000, 0}, {0, 0}, {-7, 9}};
  tiles.load<0>(sums, sizeof sums[0]);
  tiles.load<1>(a, sizeof a[0]);
  tiles.load<2>(b, sizeof b[0]);
  tiles.add_products<0, 1, 2>();
  tiles.store<0>(sums, sizeof sums[0]);
  const int second = 1 * -128 + 2 * 2 + 3 * 3 + 4 * 4 + 5 * 5 + 6 * 6 + 7 * 7 + 8 * -128;
  EXPECT_EQ(sums[0][0], 1036);
  EXPECT_EQ(sums[0][1], second);
  EXPECT_EQ(sums[1][0], -128 + 127);
  EXPECT_EQ(sums[1][1], 128 * 128 - 127 * 128);
  EXPECT_EQ(sums[2][0], -7);
  EXPECT_EQ(sums[2][1], 9);
}

TEST(AmxTwin, RefusesShapesThatDoNotFit) {
  TileConfig config{};
  EXPECT_THROW(TilesTwin{config}, std::logic_error);
  config.palette = 1;
  config.rows[0] = 17;
  config.row_bytes[0] = 64;
  EXPECT_THROW(TilesTwin{config}, std::logic_error);
  config.rows[0] = 16;
  config.rows[1] = config.rows[2] = 8;
  config.row_bytes[1] = config.row_bytes[2] = 32;
  TilesTwin tiles(config);
  EXPECT_THROW((tiles.add_products<0, 1, 2>()), std::logic_error);
  EXPECT_THROW(tiles.zero<7>(), std::logic_error);
}

using formats::DType;
using formats::info;
using testing::random_values;
using testing::Weights;

/// y of `rows` rows, behind each of which three floats must stay as they were.
std::vector<float> product(const KernelTable& table, const PackedMatrix& w, const std::vector<float>& x,
                           std::size_t rows, const float* bias, std::size_t threads) {
  base::ThreadPool pool(threads);
  const Ops ops(table, pool, Numerics::fast);
  Activations activations(rows, w.cols());
  ops.prepare(x.data(), rows, w.cols(), w.cols(), activations);
  const std::size_t ldy = w.rows() + 3;
  std::vector<float> y(rows * ldy, -1234.5F), out;
  ops.linear(activations, w, bias, y.data(), ldy);
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (i % ldy < w.rows()) {
      out.push_back(y[i]);
    } else {
      EXPECT_EQ(y[i], -1234.5F) << "behind row " << i / ldy;
    }
  }
  return out;
}

/// Every prefix of the rows in `counts` gives the reference's bits.
void expect_reference(const Weights& w, const std::vector<float>& x, std::initializer_list<std::size_t> counts,
                      std::size_t threads, bool biased = true) {
  const KernelTable table = twin_table();
  const std::vector<float> values = random_values(w.rows, 3);
  const float* bias = biased ? values.data() : nullptr;
  std::vector<float> expected;
  for (std::size_t r = 0; r < std::max(counts); ++r)
    for (const float y : testing::reference(table, Numerics::fast, w, x.data() + r * w.cols, bias))
      expected.push_back(y);
  for (const std::size_t rows : counts) {
    const std::vector<float> got = product(table, w.packed, x, rows, bias, threads);
    ASSERT_EQ(got.size(), rows * w.rows);
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
        << info(w.type).name << " rows " << rows << " cols " << w.cols << " outputs " << w.rows;
  }
}

TEST(AmxTwin, EveryCodecAndRowCountGivesTheReferencesBits) {
  for (const CodecSpec& spec : kCodecs) {
    for (const std::size_t blocks : {1U, 3U}) {
      const std::size_t cols = blocks * static_cast<std::size_t>(spec.block);
      const Weights w(spec.dtype, 21, cols, 21 + cols);
      expect_reference(w, random_values(50 * cols, 8), {1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50}, 1);
    }
  }
}

TEST(AmxTwin, Bf16AndFp8GiveTheReferencesBits) {
  for (const DType type : {DType::bf16, DType::f8_e4m3}) {
    for (const std::size_t cols : {1U, 5U, 31U, 32U, 33U, 96U, 130U, 255U, 256U, 300U, 513U}) {
      const Weights w(type, 37, cols, 21 + cols);
      std::vector<float> x = random_values(50 * cols, 8);
      // Subnormals, of activations and of products, which tiles take for zeros.
      for (std::size_t i = 0; i < x.size(); i += 3) x[i] *= i % 2 == 0 ? 1e-38F : 1e-36F;
      expect_reference(w, x, {1, 3, 15, 16, 17, 31, 32, 33, 50}, 2);
    }
    // More rows than share widened weights, more inputs than a range of them.
    const Weights w(type, 40, 2600, 6);
    expect_reference(w, random_values(270 * w.cols, 4), {270}, 3);
    expect_reference(w, random_values(270 * w.cols, 4), {270}, 1, false);
  }
}

TEST(AmxTwin, MoreRowsThanAChunkAndSeveralThreads) {
  for (const DType type : {DType::q8_0, DType::q4_k, DType::q6_k}) {
    const Weights w(type, 40, 512, 6);
    expect_reference(w, random_values(150 * 512, 4), {150}, 3);
  }
  // More than one range of inputs, whose sums wait in the outputs.
  const Weights w(DType::q4_k, 21, 8 * 256, 7);
  expect_reference(w, random_values(530 * w.cols, 4), {530}, 2);
  expect_reference(w, random_values(530 * w.cols, 4), {530}, 2, false);
}

/// Then whole passes write their sums to the outputs at once.
TEST(AmxTwin, WithoutBias) {
  for (const DType type : {DType::q4_k, DType::q6_k}) {
    const Weights w(type, 53, 512, 9);
    expect_reference(w, random_values(70 * w.cols, 5), {31, 32, 33, 48, 64, 70}, 1, false);
  }
}

TEST(AmxTwin, LargestIntegers) {
  base::ThreadPool pool(1);
  for (const CodecSpec& spec : kCodecs) {
    for (const unsigned fill : {0x00U, 0xffU, 0x80U, 0x7fU}) {
      Weights w(spec.dtype, 16, 256, 5);
      for (std::byte& byte : w.raw) byte = static_cast<std::byte>(fill);
      testing::set_scales(spec.dtype, w.raw, 1);
      w.packed = PackedMatrix::pack({"w", w.type, w.rows, w.cols, w.raw, {}}, pool);
      expect_reference(w, std::vector<float>(16 * 256, 1.0F), {1, 16}, 1);
      expect_reference(w, std::vector<float>(16 * 256, -1.0F), {1, 16}, 1);
    }
  }
}

}  // namespace
}  // namespace minke::kernels
