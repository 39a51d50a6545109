// A quantised block in the form that a GGUF file stores it: the inverse of kernels::read_block.
#pragma once

#include <cstdint>

#include "kernels/codec.h"

namespace minke::synth {

/// Writes the block's bytes (formats::info(spec.dtype).block_bytes). Integers, scales and minima beyond their width
/// are cut to it.
void write_block(const kernels::CodecSpec& spec, const kernels::CodecBlock& block, std::uint8_t* out) noexcept;
/// The same of the types with indices: `index`, the signs in q, and the scales.
void write_grid_block(const kernels::CodecSpec& spec, const kernels::CodecBlock& block, std::uint8_t* out) noexcept;

/// The nearest half, ties to even; values beyond its range become the largest finite half.
std::uint16_t to_half(float value) noexcept;

}  // namespace minke::synth
