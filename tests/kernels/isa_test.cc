#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/error.h"
#include "kernels/kernel_table.h"

namespace minke::kernels {
namespace {

TEST(Isa, NamesGoBothWays) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx, Isa::neon, Isa::neon_dotprod, Isa::neon_i8mm}) {
    EXPECT_EQ(isa_from_name(to_string(isa)), isa);
    const std::vector<std::string_view> names = isa_names();
    EXPECT_EQ(std::count(names.begin(), names.end(), to_string(isa)), 1);
  }
  EXPECT_EQ(isa_from_name("mmx"), std::nullopt);
  EXPECT_EQ(isa_from_name(""), std::nullopt);
}

TEST(Isa, ScalarIsAlwaysThere) {
  const std::vector<Isa> isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::scalar);
  EXPECT_EQ(std::count(isas.begin(), isas.end(), best_isa()), 1);
  EXPECT_EQ(best_isa(), isas.back());
}

TEST(Isa, TablesAreWholeAndDistinct) {
  std::set<std::string_view> names;
  for (const Isa isa : available_isas()) {
    const KernelTable& table = kernel_table(isa);
    EXPECT_TRUE(names.insert(name(table)).second);
    EXPECT_NE(table.linear_float, nullptr);
    EXPECT_NE(table.linear_bytes, nullptr);
    EXPECT_NE(table.quantize_row, nullptr);
  }
}

TEST(Isa, WhatIsMissingIsNamed) {
  const std::vector<Isa> isas = available_isas();
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::amx, Isa::neon, Isa::neon_dotprod, Isa::neon_i8mm}) {
    if (std::count(isas.begin(), isas.end(), isa) != 0) continue;
    try {
      static_cast<void>(kernel_table(isa));
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
      EXPECT_NE(error.message().find(to_string(isa)), std::string::npos);
      EXPECT_NE(error.message().find("lacks"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace minke::kernels
