// Linear products against references written out here, bit for bit, on every instruction set of this machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/codec.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"
#include "linear_reference.h"
#include "linear_testing.h"

namespace minke::kernels {
namespace {

using formats::DType;
using testing::kAllTypes;
using testing::random_values;
using testing::reference;
using testing::Weights;

/// Runs prepare and linear; y has `pad` floats after each row that must stay untouched.
std::vector<float> product(const Ops& ops, const Weights& w, const float* x, std::size_t rows, std::size_t ldx,
                           const float* bias, std::size_t pad = 5) {
  constexpr float kSentinel = -12345.5F;
  const std::size_t ldy = w.rows + pad;
  std::vector<float> y(rows * ldy + 16, kSentinel), out;
  Activations activations(rows, w.cols);
  ops.prepare(x, rows, w.cols, ldx, activations);
  ops.linear(activations, w.packed, bias, y.data(), ldy);
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (i < rows * ldy && i % ldy < w.rows) {
      out.push_back(y[i]);
    } else if (y[i] != kSentinel) {
      ADD_FAILURE() << "wrote past the outputs at " << i << " of rows of " << ldy;
      break;
    }
  }
  return out;
}

::testing::AssertionResult same_bits(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return ::testing::AssertionFailure() << got.size() << " != " << expected.size();
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(got[i]) != std::bit_cast<std::uint32_t>(expected[i]))
      return ::testing::AssertionFailure() << "at " << i << ": " << got[i] << " instead of " << expected[i];
  }
  return ::testing::AssertionSuccess();
}

class Linear : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table() const { return kernel_table(GetParam()); }
};

std::vector<std::size_t> widths(DType type) {
  const std::size_t block = formats::info(type).block_elements;
  if (block == 1) return {1, 2, 31, 53, 84, 256, 257, 512, 600};
  if (block == 32) return {32, 96, 288, 576};
  return {256, 768};
}

TEST_P(Linear, SmallShapesMatchTheReference) {
  base::ThreadPool pool(1);
  for (const DType type : kAllTypes) {
    for (const std::size_t cols : widths(type)) {
      for (const std::size_t outputs : {1U, 16U, 37U}) {
        const Weights w(type, outputs, cols, cols + outputs);
        const std::vector<float> bias = random_values(outputs, 11);
        const std::size_t ldx = cols + 3;
        const std::vector<float> x = random_values(35 * ldx, 5);
        for (const Numerics numerics : {Numerics::exact, Numerics::fast}) {
          std::vector<float> expected;
          for (std::size_t r = 0; r < 35; ++r)
            for (const float v : reference(table(), numerics, w, x.data() + r * ldx, bias.data()))
              expected.push_back(v);
          const Ops ops(table(), pool, numerics);
          for (const std::size_t rows : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 15U, 16U, 31U, 35U}) {
            const std::vector<float> y = product(ops, w, x.data(), rows, ldx, bias.data());
            ASSERT_TRUE(
                same_bits(y, {expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(rows * outputs)}))
                << formats::info(type).name << " " << to_string(numerics) << " rows " << rows << " cols " << cols
                << " outputs " << outputs;
          }
        }
      }
    }
  }
}

TEST_P(Linear, LargestIntegersDoNotSaturate) {
  base::ThreadPool pool(1);
  for (const DType type : kAllTypes) {
    if (find_codec(type) == nullptr) continue;
    for (const unsigned fill : {0x00U, 0xffU, 0x80U, 0x7fU}) {
      Weights w(type, 16, 256, 1);
      for (std::byte& byte : w.raw) byte = static_cast<std::byte>(fill);
      testing::set_scales(type, w.raw, 1);
      w.packed = PackedMatrix::pack({"w", type, w.rows, w.cols, w.raw, {}}, pool);
      const std::vector<float> x(256, fill == 0x7fU ? -1.0F : 1.0F);
      const std::vector<float> y = product(Ops(table(), pool, Numerics::fast), w, x.data(), 1, 256, nullptr);
      ASSERT_TRUE(same_bits(y, reference(table(), Numerics::fast, w, x.data(), nullptr)))
          << formats::info(type).name << " filled with " << fill;
    }
  }
}

TEST_P(Linear, ExactIsWithinTheErrorBoundOfDoubles) {
  base::ThreadPool pool(2);
  for (const DType type : kAllTypes) {
    const Weights w(type, 33, 1536, 2);
    const std::vector<float> x = random_values(1536, 6);
    const std::vector<float> y = product(Ops(table(), pool, Numerics::exact), w, x.data(), 1, 1536, nullptr);
    std::vector<float> row(w.cols);
    for (std::size_t n = 0; n < w.rows; ++n) {
      w.packed.unpack_row(n, row);
      double sum = 0, magnitudes = 0;
      for (std::size_t k = 0; k < w.cols; ++k) {
        sum += double{x[k]} * row[k];
        magnitudes += std::fabs(double{x[k]} * row[k]);
      }
      // Roundings in one chain: 256 in a block, one per block; Higham's gamma_n with room to spare.
      const double bound = (256 + 6) * 0x1p-24 * 1.01 * magnitudes;
      ASSERT_NEAR(y[n], sum, bound) << formats::info(type).name << " output " << n;
    }
  }
}

TEST_P(Linear, SameBitsForAnySplitAndAnyThreads) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16, DType::q8_0, DType::q4_k, DType::q6_k}) {
    const bool slow = GetParam() == Isa::scalar;
    const std::size_t rows = slow ? 41 : 203, cols = 768;
    const Weights w(type, slow ? 50 : 330, cols, 9);
    const std::vector<float> x = random_values(rows * cols, 8);
    for (const Numerics numerics : {Numerics::exact, Numerics::fast}) {
      SCOPED_TRACE(std::string(formats::info(type).name) + " " + std::string(to_string(numerics)));
      base::ThreadPool one(1);
      const std::vector<float> whole = product(Ops(table(), one, numerics), w, x.data(), rows, cols, nullptr);
      ASSERT_TRUE(same_bits({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(w.rows)},
                            reference(table(), numerics, w, x.data(), nullptr)));
      for (const std::size_t threads : {2U, 3U}) {
        base::ThreadPool pool(threads);
        const Ops ops(table(), pool, numerics);
        EXPECT_TRUE(same_bits(product(ops, w, x.data(), rows, cols, nullptr), whole)) << threads << " threads";
        std::vector<float> parts;
        for (std::size_t first = 0, size = 1; first < rows; first += size, size = size * 3 % 29 + 1) {
          size = std::min(size, rows - first);
          for (const float v : product(ops, w, x.data() + first * cols, size, cols, nullptr)) parts.push_back(v);
        }
        EXPECT_TRUE(same_bits(parts, whole)) << "in parts, " << threads << " threads";
      }
    }
  }
}

TEST_P(Linear, NonFiniteActivationsReachTheOutputs) {
  base::ThreadPool pool(1);
  for (const DType type : kAllTypes) {
    const Weights w(type, 20, 512, 4);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> x = random_values(3 * 512, 8);
      x[512 + 300] = bad;
      for (const Numerics numerics : {Numerics::exact, Numerics::fast}) {
        const std::vector<float> y = product(Ops(table(), pool, numerics), w, x.data(), 3, 512, nullptr);
        for (std::size_t i = 0; i < y.size(); ++i) {
          const bool in_row = i / 20 == 1;
          // A weight of zero times infinity is NaN, any other is infinite.
          ASSERT_EQ(std::isfinite(y[i]), !in_row) << formats::info(type).name << " " << to_string(numerics) << " " << i;
        }
      }
    }
  }
}

TEST_P(Linear, EveryFp8Value) {
  base::ThreadPool pool(1);
  constexpr std::size_t kCols = 256;  // column k holds byte k; two blocks of 128 with their own scale
  std::vector<std::byte> raw(17 * kCols), scales(8);
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::byte>((i % 128) == 127 ? 0 : i % kCols);
  const float block_scales[2] = {0.37F, 0x1.8p-20F};
  std::memcpy(scales.data(), block_scales, 8);
  const PackedMatrix w = PackedMatrix::pack({"w", DType::f8_e4m3, 17, kCols, raw, {}, scales}, pool);
  std::vector<float> x(kCols * kCols, 0.0F), y(kCols * 17);
  for (std::size_t k = 0; k < kCols; ++k) x[k * kCols + k] = 1;
  for (const std::size_t rows : {std::size_t{1}, kCols}) {
    const Ops ops(table(), pool, Numerics::fast);
    Activations activations(rows, kCols);
    for (std::size_t first = 0; first < kCols; first += rows) {
      ops.prepare(x.data() + first * kCols, rows, kCols, kCols, activations);
      ops.linear(activations, w, nullptr, y.data() + first * 17, 17);
    }
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t k = i / 17;
      const float expected = f8_to_float(static_cast<std::uint8_t>(raw[k])) * block_scales[k / 128];
      ASSERT_EQ(y[i], expected) << "byte " << k << " rows " << rows;
    }
  }
}

TEST_P(Linear, EveryExponentOfMxfp4) {
  base::ThreadPool pool(1);
  constexpr std::size_t kExponents = kMaxMxfp4Exponent + 1U, kCols = 32 * kExponents;
  Weights w(DType::mxfp4, 1, kCols, 5);
  for (std::size_t e = 0; e < kExponents; ++e) w.raw[17 * e] = static_cast<std::byte>(e);
  w.packed = PackedMatrix::pack({"w", w.type, w.rows, w.cols, w.raw, {}}, pool);
  for (std::size_t e = 0; e < kExponents; ++e) {
    std::vector<float> x(kCols);
    for (std::size_t k = 0; k < 32; ++k) x[32 * e + k] = static_cast<float>(k) - 20;
    for (const Numerics numerics : {Numerics::exact, Numerics::fast})
      ASSERT_TRUE(same_bits(product(Ops(table(), pool, numerics), w, x.data(), 1, kCols, nullptr),
                            reference(table(), numerics, w, x.data(), nullptr)))
          << e << " " << to_string(numerics);
  }
}

TEST_P(Linear, ZeroAndTinyGroups) {
  base::ThreadPool pool(1);
  const Weights w(DType::q4_1, 16, 96, 4);
  std::vector<float> x(96, 0.0F);
  for (std::size_t k = 32; k < 64; ++k) x[k] = 0x1p-100F;
  const std::vector<float> y = product(Ops(table(), pool, Numerics::fast), w, x.data(), 1, 96, nullptr);
  for (const float v : y) EXPECT_EQ(v, 0.0F);
}

TEST(Embed, IsTheUnpackedRow) {
  base::ThreadPool pool(2);
  const Ops ops(kernel_table(best_isa()), pool, Numerics::fast);
  for (const DType type : kAllTypes) {
    const Weights w(type, 50, 256, 4);
    const std::vector<std::int32_t> ids = {49, 0, 17, 17};
    std::vector<float> y(4 * 260, 7.0F), row(256);
    ops.embed(w.packed, ids, y.data(), 260);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      w.packed.unpack_row(static_cast<std::size_t>(ids[i]), row);
      EXPECT_TRUE(same_bits(
          {y.begin() + static_cast<std::ptrdiff_t>(260 * i), y.begin() + static_cast<std::ptrdiff_t>(260 * i + 256)},
          row));
      EXPECT_EQ(y[260 * i + 256], 7.0F);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Linear, ::testing::ValuesIn(available_isas()), [](const auto& isa) {
  std::string name(to_string(isa.param));
  std::ranges::replace(name, '-', '_');  // names of tests are identifiers
  return name;
});

}  // namespace
}  // namespace minke::kernels
