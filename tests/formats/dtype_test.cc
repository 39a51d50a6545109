#include "formats/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace minke::formats {
namespace {

// Bits per weight as llama.cpp's quantize tool lists them, times the block: an independent source of the sizes.
TEST(DType, BitsPerWeight) {
  const std::pair<DType, double> expected[] = {
      {DType::f32, 32},       {DType::f16, 16},         {DType::bf16, 16},        {DType::f8_e4m3, 8},
      {DType::q4_0, 4.5},     {DType::q4_1, 5.0},       {DType::q5_0, 5.5},       {DType::q5_1, 6.0},
      {DType::q8_0, 8.5},     {DType::q2_k, 2.625},     {DType::q3_k, 3.4375},    {DType::q4_k, 4.5},
      {DType::q5_k, 5.5},     {DType::q6_k, 6.5625},    {DType::iq4_nl, 4.5},     {DType::iq4_xs, 4.25},
      {DType::iq1_s, 1.5625}, {DType::iq1_m, 1.75},     {DType::iq2_xxs, 2.0625}, {DType::iq2_xs, 2.3125},
      {DType::iq2_s, 2.5625}, {DType::iq3_xxs, 3.0625}, {DType::iq3_s, 3.4375},   {DType::mxfp4, 4.25},
  };
  std::set<std::string_view> names;
  for (const auto& [type, bits] : expected) {
    const DTypeInfo& i = info(type);
    EXPECT_EQ(8.0 * i.block_bytes / i.block_elements, bits) << i.name;
    EXPECT_TRUE(names.insert(i.name).second);
  }
  EXPECT_EQ(names.size(), 24u);
}

TEST(DType, GgmlNumbers) {
  const std::pair<std::uint32_t, DType> read[] = {
      {0, DType::f32},      {1, DType::f16},     {2, DType::q4_0},     {3, DType::q4_1},    {6, DType::q5_0},
      {7, DType::q5_1},     {8, DType::q8_0},    {10, DType::q2_k},    {11, DType::q3_k},   {12, DType::q4_k},
      {13, DType::q5_k},    {14, DType::q6_k},   {20, DType::iq4_nl},  {23, DType::iq4_xs}, {30, DType::bf16},
      {16, DType::iq2_xxs}, {17, DType::iq2_xs}, {18, DType::iq3_xxs}, {19, DType::iq1_s},  {21, DType::iq3_s},
      {22, DType::iq2_s},   {29, DType::iq1_m},  {39, DType::mxfp4},
  };
  std::set<std::uint32_t> numbers;
  for (const auto& [number, type] : read) {
    EXPECT_EQ(dtype_from_ggml(number), type);
    EXPECT_EQ(ggml_type_name(number), info(type).name);
    numbers.insert(number);
  }
  for (std::uint32_t number = 0; number < 1000; ++number)
    EXPECT_EQ(dtype_from_ggml(number).has_value(), numbers.contains(number)) << number;
}

TEST(DType, TypesThatAreNotReadHaveNames) {
  EXPECT_EQ(ggml_type_name(34), "TQ1_0");
  EXPECT_EQ(ggml_type_name(40), "NVFP4");
  EXPECT_EQ(ggml_type_name(4), "Q4_2 (removed from ggml)");
  EXPECT_EQ(ggml_type_name(31), "Q4_0_4_4 (removed from ggml)");
  EXPECT_EQ(ggml_type_name(9999), "unknown");
}

TEST(DType, SafetensorsNames) {
  EXPECT_EQ(dtype_from_safetensors("BF16"), DType::bf16);
  EXPECT_EQ(dtype_from_safetensors("F8_E4M3"), DType::f8_e4m3);
  for (const char* name : {"bf16", "I64", "U8", "F64", "", "Q4_K"}) EXPECT_FALSE(dtype_from_safetensors(name)) << name;
}

}  // namespace
}  // namespace minke::formats
