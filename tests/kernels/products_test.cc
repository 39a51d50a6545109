// Sets of products in one stage and what is fused onto them: the bits of the operations done one by one.
#include <gtest/gtest.h>

#include <algorithm>

#include <bit>
#include <memory>
#include <vector>

#include "kernels/linear_testing.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

using formats::DType;

constexpr float kSentinel = -12345.5F;

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

struct Case {
  Isa isa;
  Numerics numerics;
  std::size_t threads, nodes;
};

class Products : public ::testing::TestWithParam<Case> {
 protected:
  PackedMatrix weights(DType type, std::size_t rows, std::size_t cols, std::uint64_t seed) {
    const auto data = testing::random_weights(type, rows, cols, seed);
    return PackedMatrix::pack({.name = "w", .dtype = type, .rows = rows, .cols = cols, .data = data}, pool);
  }
  /// y = x w^T + bias by itself, one row at a time.
  std::vector<float> alone(const PackedMatrix& w, const float* x, std::size_t rows, std::size_t ldx,
                           const float* bias) {
    std::vector<float> y(rows * w.rows());
    for (std::size_t r = 0; r < rows; ++r) {
      Activations a(1, w.cols());
      ops.prepare(x + r * ldx, 1, w.cols(), ldx, a);
      ops.linear(a, w, bias, y.data() + r * w.rows(), w.rows());
    }
    return y;
  }

  base::ThreadPool pool{base::simulated_team(GetParam().threads, GetParam().nodes)};
  Ops ops{kernel_table(GetParam().isa), pool, GetParam().numerics};
};

constexpr std::size_t kRowCounts[] = {1, 2, 17, 40, 150};

TEST_P(Products, ASetIsItsProducts) {
  constexpr std::size_t kCols = 288;
  struct One {
    DType type;
    std::size_t outputs;
    bool bias;
  };
  const One shapes[] = {{DType::q4_0, 130, true}, {DType::bf16, 7, false}, {DType::q8_0, 48, true}};
  for (const std::size_t rows : kRowCounts) {
    const auto x = testing::random_values(rows * kCols, 5);
    Activations activations(rows, kCols);
    ops.prepare(x.data(), rows, kCols, kCols, activations);
    std::vector<PackedMatrix> packed;
    std::vector<std::vector<float>> biases, y;
    for (const One& one : shapes) {
      packed.push_back(weights(one.type, one.outputs, kCols, rows + one.outputs));
      biases.push_back(testing::random_values(one.outputs, 9));
      y.emplace_back(rows * (one.outputs + 3), kSentinel);
    }
    std::vector<Product> products;
    for (std::size_t i = 0; i < 3; ++i)
      products.push_back(Ops::product(activations, packed[i], shapes[i].bias ? biases[i].data() : nullptr, y[i].data(),
                                      shapes[i].outputs + 3));
    products.insert(products.begin() + 1, products[0]);  // an expert without rows
    products[1].block.rows = 0;
    ops.linear(products);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto expected = alone(packed[i], x.data(), rows, kCols, shapes[i].bias ? biases[i].data() : nullptr);
      std::vector<float> padded(y[i].size(), kSentinel);
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t n = 0; n < shapes[i].outputs; ++n)
          padded[r * (shapes[i].outputs + 3) + n] = expected[r * shapes[i].outputs + n];
      EXPECT_EQ(bits_of(y[i]), bits_of(padded)) << "product " << i << " of " << rows << " rows";
    }
  }
}

TEST_P(Products, GateAndUpAreJoinedAndPrepared) {
  constexpr std::size_t kCols = 96, kInner = 160, kOut = 37;
  const PackedMatrix gate = weights(DType::q8_0, kInner, kCols, 1), up = weights(DType::q4_1, kInner, kCols, 2);
  const PackedMatrix down = weights(DType::q5_0, kOut, kInner, 3);
  const auto bias = testing::random_values(kInner, 4);
  for (const std::size_t rows : kRowCounts) {
    const auto x = testing::random_values(rows * kCols, 6);
    // Two blocks (experts), rows in the order 0, 1, ...; the first has a third of them.
    const std::size_t first = rows / 3;
    const RowBlock blocks[] = {{.x = x.data(), .first = 0, .rows = first},
                               {.x = x.data() + first * kCols, .first = first, .rows = rows - first}};
    Activations in(rows, kCols), out(rows, kInner);
    ops.prepare(blocks, kCols, kCols, in);
    std::vector<float> gate_y(rows * kInner), y(rows * kOut);
    ops.begin(gate_y.data(), rows, kInner, kInner, out);
    std::vector<GatedProduct> gated;
    std::vector<Product> products;
    for (const RowBlock& block : blocks) {
      gated.push_back({.x = &in,
                       .block = block,
                       .gate = &gate,
                       .up = &up,
                       .gate_bias = bias.data(),
                       .y = gate_y.data() + block.first * kInner,
                       .ldy = kInner,
                       .out = &out,
                       .out_first = block.first});
      products.push_back(
          {.x = &out,
           .block = {.x = gate_y.data() + block.first * kInner, .first = block.first, .rows = block.rows},
           .weight = &down,
           .y = y.data() + block.first * kOut,
           .ldy = kOut});
    }
    ops.gated(gated);
    ops.linear(products);

    auto joined = alone(gate, x.data(), rows, kCols, bias.data());
    const auto other = alone(up, x.data(), rows, kCols, nullptr);
    ops.swiglu(joined.data(), other.data(), rows, kInner, kInner, joined.data());
    EXPECT_EQ(bits_of(gate_y), bits_of(joined)) << rows << " rows";
    EXPECT_EQ(bits_of(y), bits_of(alone(down, joined.data(), rows, kInner, nullptr))) << rows << " rows";
  }
}

TEST_P(Products, GatheredRowsAreTheRows) {
  constexpr std::size_t kCols = 96, kOut = 20;
  for (const DType type : {DType::q8_0, DType::f16}) {
    const PackedMatrix w = weights(type, kOut, kCols, 1);
    constexpr std::size_t kRows = 35;
    const auto x = testing::random_values(kRows * kCols, 6);
    Activations from(kRows, kCols), slots(2 * kRows, kCols);
    ops.prepare(x.data(), kRows, kCols, kCols, from);
    std::vector<std::uint32_t> sources;
    for (std::uint32_t i = 0; i < 2 * kRows; ++i) sources.push_back(i * 11 % kRows);
    std::vector<float> gathered(2 * kRows * kCols, kSentinel), y(2 * kRows * kOut);
    const std::size_t split = 19;
    const RowBlock blocks[] = {{.x = gathered.data(), .first = 0, .rows = split},
                               {.x = gathered.data() + split * kCols, .first = split, .rows = 2 * kRows - split}};
    const bool floats = ops.reads_floats(w);
    EXPECT_EQ(floats, GetParam().numerics == Numerics::exact || type == DType::f16);
    ops.gather(from, blocks, sources.data(), floats, gathered.data(), slots);
    std::vector<Product> products;
    for (const RowBlock& block : blocks)
      products.push_back({.x = &slots, .block = block, .weight = &w, .y = y.data() + block.first * kOut, .ldy = kOut});
    ops.linear(products);
    const auto all = alone(w, x.data(), kRows, kCols, nullptr);
    std::vector<float> expected;
    for (const std::uint32_t row : sources)
      expected.insert(expected.end(), all.begin() + row * kOut, all.begin() + (row + 1) * kOut);
    EXPECT_EQ(bits_of(y), bits_of(expected));
  }
}

TEST_P(Products, AddingNormAndPreparingAreOnePass) {
  constexpr std::size_t kCols = 200 + 24, kOut = 33;
  const PackedMatrix w = weights(DType::q8_0, kOut, kCols, 1);
  const auto norm = testing::random_values(kCols, 8);
  for (const std::size_t rows : kRowCounts)
    for (const bool adds : {false, true}) {
      auto x = testing::random_values(rows * kCols, 6), expected = x;
      const auto delta = testing::random_values(rows * kCols, 7);
      std::vector<float> normed(rows * kCols), y(rows * kOut), expected_normed(rows * kCols);
      Activations activations(rows, kCols);
      ops.add_norm_prepare(x.data(), adds ? delta.data() : nullptr, rows, kCols, norm.data(), 1e-5f, normed.data(),
                           activations);
      ops.linear(activations, w, nullptr, y.data(), kOut);
      if (adds) ops.add(expected.data(), kCols, delta.data(), kCols, rows, kCols);
      ops.rms_norm(expected.data(), rows, kCols, kCols, norm.data(), 1e-5f, expected_normed.data(), kCols);
      EXPECT_EQ(bits_of(x), bits_of(expected));
      EXPECT_EQ(bits_of(normed), bits_of(expected_normed));
      EXPECT_EQ(bits_of(y), bits_of(alone(w, expected_normed.data(), rows, kCols, nullptr)));
    }
}

TEST(WeightedSums, GoInOrderOfRank) {
  base::ThreadPool pool(2);
  constexpr std::size_t kRows = 70, kRanks = 3, kCols = 83;
  const auto x = testing::random_values(kRows * kRanks * kCols, 1), weights = testing::random_values(kRows * kRanks, 2);
  std::vector<std::uint32_t> sources;
  for (std::uint32_t i = 0; i < kRows * kRanks; ++i) sources.push_back(i * 13 % (kRows * kRanks));
  std::vector<float> expected(kRows * kCols, 0.0f);
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t i = 0; i < kRanks; ++i)
      for (std::size_t c = 0; c < kCols; ++c)
        expected[r * kCols + c] += weights[r * kRanks + i] * x[sources[r * kRanks + i] * kCols + c];
  for (const Isa isa : available_isas()) {
    const Ops ops(kernel_table(isa), pool, Numerics::fast);
    std::vector<float> y(kRows * kCols, kSentinel);
    ops.weighted_sums(x.data(), sources.data(), weights.data(), kRanks, kRows, kCols, y.data());
    EXPECT_EQ(bits_of(y), bits_of(expected)) << to_string(isa);
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Isa isa : available_isas())
    for (const Numerics numerics : {Numerics::exact, Numerics::fast}) {
      for (const std::size_t threads : {1U, 3U}) cases.push_back({isa, numerics, threads, 1});
      cases.push_back({isa, numerics, 3, 2});
      cases.push_back({isa, numerics, 4, 4});
    }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Everywhere, Products, ::testing::ValuesIn(all_cases()), [](const auto& item) {
  std::string isa(to_string(item.param.isa));
  std::ranges::replace(isa, '-', '_');  // names of tests are identifiers
  return isa + (item.param.numerics == Numerics::exact ? "_exact_" : "_fast_") + std::to_string(item.param.threads) +
         (item.param.nodes > 1 ? "_on_" + std::to_string(item.param.nodes) + "_nodes" : "");
});

}  // namespace
}  // namespace minke::kernels
