// What all products of activations with packed tiles share: how rows are walked. Included before linear_bytes.inl.

// clang-format off
#include "kernels/isa/tile.inl"
#include "kernels/isa/grid.inl"
// clang-format on

namespace {

/// Inputs decoded at once, which are also the inputs of one fp32 partial sum.
constexpr std::size_t kSumInputs = 256;
/// Rows that share a decoded tile: their sums take 8 KiB.
constexpr std::size_t kChunkRows = 128;
static_assert(kChunkRows % minke::kernels::kActivationRows == 0);

/// Sums of a chunk of rows for one tile.
struct alignas(64) ChunkSums {
  float v[kChunkRows][16];
};

/// Calls multiply(count) for runs of rows: kMost at a time, then halves down to 1.
template <int kMost, typename Multiply>
[[gnu::always_inline]] inline void in_runs(std::size_t rows, const Multiply& multiply) {
  std::size_t row = 0;
  for (; rows - row >= kMost; row += kMost) multiply.template run<kMost>(row);
  if constexpr (kMost > 8) {
    if ((rows - row) & 8) multiply.template run<8>(row), row += 8;
  }
  if constexpr (kMost > 4) {
    if ((rows - row) & 4) multiply.template run<4>(row), row += 4;
  }
  if constexpr (kMost > 2) {
    if ((rows - row) & 2) multiply.template run<2>(row), row += 2;
  }
  if constexpr (kMost > 1) {
    if ((rows - row) & 1) multiply.template run<1>(row);
  }
}

}  // namespace
