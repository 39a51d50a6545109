#include "synth/random_values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/thread_pool.h"
#include "kernels/packed_matrix.h"

namespace minke::synth {
namespace {

using formats::DType;

const ValueTables& tables() {
  static const ValueTables made;
  return made;
}

PlannedTensor matrix(DType dtype, std::string name = "blk.0.ffn_up.weight") {
  return {{std::move(name), dtype, {64, 1024}}, Fill::matrix, 0.02, {}};
}

std::vector<std::byte> filled(const PlannedTensor& tensor, std::uint64_t seed = 1) {
  std::vector<std::byte> bytes(formats::data_bytes(tensor.spec));
  fill_values(tensor, tables(), seed, 0, 64 * 1024, bytes.data());
  return bytes;
}

std::vector<float> values_of(const PlannedTensor& tensor, const std::vector<std::byte>& bytes) {
  base::ThreadPool pool(1);
  const std::vector<float> scales(8, 0.02F / static_cast<float>(ValueTables::kF8Deviation));
  kernels::MatrixSource source{
      .name = tensor.spec.name, .dtype = tensor.spec.dtype, .rows = 64, .cols = 1024, .data = bytes};
  if (tensor.spec.dtype == DType::f8_e4m3) source.scales = std::as_bytes(std::span(scales));
  const auto packed = kernels::PackedMatrix::pack(source, pool);
  std::vector<float> values(64 * 1024);
  for (std::size_t row = 0; row < 64; ++row) packed.unpack_row(row, std::span(values).subspan(row * 1024, 1024));
  return values;
}

TEST(RandomValues, EveryTypeHasMeanZeroAndTheDeviationAskedFor) {
  for (int i = 0; i <= static_cast<int>(DType::mxfp4); ++i) {
    const PlannedTensor tensor = matrix(static_cast<DType>(i));
    const std::vector<float> values = values_of(tensor, filled(tensor));
    double sum = 0, squares = 0;
    for (const float value : values) {
      ASSERT_TRUE(std::isfinite(value));
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double n = static_cast<double>(values.size());
    const auto name = formats::info(tensor.spec.dtype).name;
    EXPECT_NEAR(sum / n, 0, 0.02 * 0.05) << name;  // 13 standard errors of a normal's mean
    EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.02 * 0.12) << name;
  }
}

TEST(RandomValues, DependOnPlaceAlone) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f8_e4m3, DType::q4_k, DType::q8_0}) {
    const PlannedTensor tensor = matrix(dtype);
    const std::vector<std::byte> whole = filled(tensor);
    std::vector<std::byte> pieces(whole.size());
    const auto& type = formats::info(dtype);
    const std::uint64_t step = 3 * fill_unit(dtype);
    for (std::uint64_t first = 0; first < 64 * 1024; first += step)
      fill_values(tensor, tables(), 1, first, std::min(step, 64 * 1024 - first),
                  pieces.data() + first / type.block_elements * type.block_bytes);
    EXPECT_EQ(whole, pieces) << type.name;
  }
}

TEST(RandomValues, SeedsAndNamesGiveOthers) {
  EXPECT_EQ(filled(matrix(DType::q4_k)), filled(matrix(DType::q4_k)));
  EXPECT_NE(filled(matrix(DType::q4_k)), filled(matrix(DType::q4_k), 2));
  EXPECT_NE(filled(matrix(DType::q4_k)), filled(matrix(DType::q4_k, "blk.1.ffn_up.weight")));
}

TEST(RandomValues, NormalQuantiles) {
  const auto normal = tables().normal();
  EXPECT_NEAR(normal[65535], 4.3254, 1e-3);  // of 1 - 1 / 131072
  EXPECT_NEAR(normal[49152], 0.67451, 1e-4);
  EXPECT_NEAR(normal[64225], 2.0540, 1e-3);  // 0.98
  for (std::size_t i = 1; i < normal.size(); ++i) ASSERT_LT(normal[i - 1], normal[i]);
}

TEST(RandomValues, F8CodesAreNumbers) {
  for (const std::uint8_t code : tables().f8()) ASSERT_NE(code & 0x7f, 0x7f);
}

}  // namespace
}  // namespace minke::synth
