#include "synth/block_writer.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "support/golden.h"

namespace minke::synth {
namespace {

// The goldens are random bits, so every field of a block is exercised.
TEST(BlockWriter, WritesWhatWasRead) {
  for (const kernels::CodecSpec& spec : kernels::kCodecs) {
    const formats::DTypeInfo& type = formats::info(spec.dtype);
    const std::string raw = test::read_text(test::golden("codecs/" + std::string(type.name) + ".raw"));
    ASSERT_FALSE(raw.empty()) << type.name;
    for (std::size_t at = 0; at < raw.size(); at += type.block_bytes) {
      kernels::CodecBlock block{};
      kernels::read_block(spec, reinterpret_cast<const std::uint8_t*>(raw.data()) + at, block);
      std::uint8_t written[256] = {};
      write_block(spec, block, written);
      ASSERT_EQ(std::memcmp(written, raw.data() + at, type.block_bytes), 0) << type.name << " at " << at;
    }
  }
}

TEST(BlockWriter, HalvesRoundToNearest) {
  for (std::uint32_t half = 0; half < 0x7c00; ++half) {
    const float value = kernels::half_to_float(static_cast<std::uint16_t>(half));
    ASSERT_EQ(to_half(value), half);
    ASSERT_EQ(to_half(-value), half | 0x8000U);
    if (half + 1 == 0x7c00) break;
    const float next = kernels::half_to_float(static_cast<std::uint16_t>(half + 1));
    const float middle = value + (next - value) / 2;  // exact: the halves are neighbours
    ASSERT_EQ(to_half(middle), half + (half & 1U)) << half;
    ASSERT_EQ(to_half(std::nextafter(middle, 0.0F)), half) << half;
    ASSERT_EQ(to_half(std::nextafter(middle, 1e9F)), half + 1) << half;
  }
  EXPECT_EQ(to_half(65519.0F), 0x7bffU);
  EXPECT_EQ(to_half(1e30F), 0x7bffU);
  EXPECT_EQ(to_half(-1e30F), 0xfbffU);
}

}  // namespace
}  // namespace minke::synth
