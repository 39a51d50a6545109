#include "kernels/isa/amx_tiles.h"
#include "kernels/isa/simd_avx512.h"
#include "kernels/kernel_table.h"

// Only the products differ from AVX-512's; the rest is in isa_avx512.cc.
// clang-format off
#include "kernels/isa/exp.inl"
#include "kernels/isa/attention_splits.inl"
#include "kernels/isa/attention_tiles.inl"
#include "kernels/isa/linear_rows.inl"
#include "kernels/isa/linear_bytes.inl"
#include "kernels/isa/linear_tiles.inl"
#include "kernels/isa/linear_blocks.inl"
#include "kernels/isa/quantize_block.inl"
#include "kernels/isa/linear_block_tiles.inl"
#include "kernels/isa/linear_half_tiles.inl"
#include "kernels/isa/linear_f8_tiles.inl"
// clang-format on

namespace minke::kernels {

constinit const TilesTable kAmxTable = {
    .name = "avx512+vnni+amx",
    .linear_bytes = &linear_bytes_on_tiles<AmxTiles, kAvx512Table>,
    .linear_blocks = &linear_blocks_on_tiles<AmxTiles>,
    .quantize_block = &quantize_block,
    .linear_halves = &linear_halves_on_tiles<AmxTiles>,
    .round_halves = &round_halves<AmxTiles>,
    .attention_bf16 = &attention_on_tiles<AmxTiles, kAvx512Table>,
};

}  // namespace minke::kernels
