// Weights without meaning, for measuring: bytes as a file would hold them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "formats/dtype.h"
#include "kernels/packed_matrix.h"

namespace minke::cli {

/// Bytes for `elements` values of a type, a function of `seed` alone, such that no scale and no value is NaN or
/// infinite: the second highest bit of every byte is 0, which keeps exponents of all types in range. Random otherwise,
/// because zeros multiply faster on some processors.
std::vector<std::byte> random_bytes(formats::DType dtype, std::uint64_t elements, std::uint64_t seed,
                                    base::ThreadPool& pool);

/// A packed matrix of such values. FP8 gets one scale of 2^-7 per block.
kernels::PackedMatrix random_matrix(std::string_view name, formats::DType dtype, std::uint64_t rows, std::uint64_t cols,
                                    std::uint64_t seed, base::ThreadPool& pool);

/// `count` floats between -1 and 1.
std::vector<float> random_floats(std::size_t count, std::uint64_t seed);

}  // namespace minke::cli
