#include "kernels/codec_grids.h"

#include <cstddef>

namespace minke::kernels {
namespace {

#include "kernels/codec_grids.inl"

/// `packed` has kBits bits per code; `out` a byte.
template <int kBits, typename Entry, std::size_t kCount>
constexpr void spread(const std::uint16_t (&packed)[kCount], Entry (&out)[kCount]) {
  for (std::size_t i = 0; i < kCount; ++i) {
    out[i] = 0;
    for (std::size_t v = 0; v < sizeof(Entry); ++v)
      out[i] |= static_cast<Entry>(packed[i] >> (kBits * v) & ((1U << kBits) - 1U)) << (8 * v);
  }
}

constexpr GridTables make_tables() {
  GridTables tables{};
  spread<2>(kIq1Grid, tables.iq1);
  spread<2>(kIq2XxsGrid, tables.iq2_xxs);
  spread<2>(kIq2XsGrid, tables.iq2_xs);
  spread<2>(kIq2SGrid, tables.iq2_s);
  spread<3>(kIq3XxsGrid, tables.iq3_xxs);
  spread<3>(kIq3SGrid, tables.iq3_s);
  return tables;
}

}  // namespace

constinit const GridTables kGridTables = make_tables();

}  // namespace minke::kernels
