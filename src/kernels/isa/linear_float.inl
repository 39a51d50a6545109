// Products of fp32 activations with packed tiles. Included by the isa_*.cc after tile.inl.

namespace {

/// kSumInputs of a tile as fp32.
struct alignas(64) DecodedFloats {
  float v[kSumInputs][16];
};

/// One step of four inputs: bytes to weights.
template <typename C, int kByte>
[[gnu::always_inline]] inline void decode_step(Simd::B w, Simd::F scale, Simd::F offset, float (*out)[16]) {
  if constexpr (kByte < 4) {
    const Simd::I integer = Simd::sub_int(Simd::template byte_of<kByte>(w), Simd::set1_int(C::kZero));
    const Simd::F value = Simd::to_float(integer);
    Simd::store(out[kByte], C::kOffset ? Simd::fma(scale, value, offset) : Simd::mul(scale, value));
    decode_step<C, kByte + 1>(w, scale, offset, out);
  }
}

template <DType kType>
void decode_quantised(const LinearTask& task, std::size_t tile, std::size_t first, std::size_t count,
                      float (*out)[16]) {
  using C = Codec<kType>;
  const TilePart<C> part(task, tile, first / 32);
  const PartScales<C> scales(part.scales, part.groups);
  for (std::size_t g = 0; g < count / 32; ++g) {
    Simd::B w[8];
    decode_group_of<C>(part, g, w);
    for (std::size_t p = 0; p < C::kParts; ++p) {
      const Simd::F scale = scales.scale(g * C::kParts + p), offset = scales.offset(g * C::kParts + p);
      for (std::size_t s = 0; s < C::kSteps; ++s, out += 4) decode_step<C, 0>(w[p * C::kSteps + s], scale, offset, out);
    }
  }
}

template <bool kHalf>
void decode_pairs(const LinearTask& task, std::size_t tile, std::size_t first, std::size_t count, float (*out)[16]) {
  const auto* w = reinterpret_cast<const std::uint16_t*>(task.tiles + tile * task.tile_bytes) + 16 * first;
  for (std::size_t k = 0; k < count; k += 2, w += 32) {
    Simd::F even, odd;
    if constexpr (kHalf) {
      Simd::load_f16_pairs(w, even, odd);
    } else {
      Simd::load_bf16_pairs(w, even, odd);
    }
    Simd::store(out[k], even);
    Simd::store(out[k + 1], odd);  // with an odd count, a zero that is not used: kSumInputs is even
  }
}

void decode_f8(const LinearTask& task, std::size_t tile, std::size_t first, std::size_t count, float (*out)[16]) {
  const F8Tile part(task, tile);
  const std::uint8_t* at = part.weights + 16 * first;
  for (std::size_t block = 0; block < count; block += minke::kernels::kF8Block) {
    const std::size_t end = count - block < minke::kernels::kF8Block ? count : block + minke::kernels::kF8Block;
    const Simd::F scale = part.scale(first + block);
    std::size_t k = block;
    for (; k + 2 <= end; k += 2) {
      Simd::F even, odd;
      Simd::load_f8_pair(at + 16 * k, even, odd);
      Simd::store(out[k], Simd::mul(even, scale));
      Simd::store(out[k + 1], Simd::mul(odd, scale));
    }
    if (k < end) Simd::store(out[k], Simd::mul(Simd::load_f8(at + 16 * k), scale));
  }
}

/// Multiplies a block of inputs and adds it to the sums of rows.
struct MultiplyFloats {
  const float (*w)[16];
  std::size_t count;
  const float* x;
  std::size_t ldx;
  float (*sums)[16];

  template <int kRows>
  [[gnu::noinline]] void run(std::size_t row) const {
    Simd::F part[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) part[r] = Simd::zero();
    const float* rows = x + row * ldx;
    for (std::size_t k = 0; k < count; ++k) {
      const Simd::F weights = Simd::load(w[k]);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r)
        part[r] = Simd::fma(Simd::set1(rows[static_cast<std::size_t>(r) * ldx + k]), weights, part[r]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      float* sum = sums[row + static_cast<std::size_t>(r)];
      Simd::store(sum, Simd::add(Simd::load(sum), part[r]));
    }
  }
};

/// One row times kTiles tiles of a plain type: as many independent sums, since one is bound by the latency of
/// its additions.
template <DType kType, int kTiles>
void multiply_plain_row(const LinearTask& task, std::size_t tile) {
  constexpr std::size_t kBytes = kType == DType::f32 ? 4 : 2;
  const std::uint8_t* weights = task.tiles + tile * task.tile_bytes;
  Simd::F total[kTiles], part[kTiles];
#pragma GCC unroll 4
  for (int t = 0; t < kTiles; ++t) total[t] = Simd::zero();
  // Two inputs; with `single`, the first alone (the other is padding, which no sum may see: -0 + 0 is 0).
  const auto step = [&](std::size_t k, bool single) __attribute__((always_inline)) {
    const Simd::F x0 = Simd::set1(task.x[k]), x1 = Simd::set1(task.x[single ? k : k + 1]);
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) {
      const std::uint8_t* at = weights + static_cast<std::size_t>(t) * task.tile_bytes + 16 * kBytes * k;
      Simd::F w0, w1;
      if constexpr (kType == DType::f32) {
        w0 = Simd::load(reinterpret_cast<const float*>(at));
        w1 = single ? w0 : Simd::load(reinterpret_cast<const float*>(at) + 16);
      } else if constexpr (kType == DType::f16) {
        Simd::load_f16_pairs(reinterpret_cast<const std::uint16_t*>(at), w0, w1);
      } else {
        Simd::load_bf16_pairs(reinterpret_cast<const std::uint16_t*>(at), w0, w1);
      }
      part[t] = Simd::fma(x0, w0, part[t]);
      if (!single) part[t] = Simd::fma(x1, w1, part[t]);
    }
  };
  for (std::size_t first = 0; first < task.cols; first += kSumInputs) {
    const std::size_t count = task.cols - first < kSumInputs ? task.cols - first : kSumInputs;
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) part[t] = Simd::zero();
    for (std::size_t k = 0; k + 2 <= count; k += 2) step(first + k, false);
    if (count % 2 != 0) step(first + count - 1, true);
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) total[t] = Simd::add(total[t], part[t]);
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTiles; ++t) store_output(task, tile + static_cast<std::size_t>(t), 0, total[t]);
}

template <DType kType>
void linear_plain_row(const LinearTask& task) {
  std::size_t tile = 0;
  for (; task.tile_count - tile >= 4; tile += 4) multiply_plain_row<kType, 4>(task, tile);
  for (; tile < task.tile_count; ++tile) multiply_plain_row<kType, 1>(task, tile);
}

/// A few rows times kTiles tiles of FP8. Widening the weights is what takes the time then, so nothing is stored between
/// that and the products.
template <int kTiles, int kRows>
void multiply_f8_rows(const LinearTask& task, std::size_t tile) {
  constexpr int kSums = kTiles * kRows;
  const auto at = [&](int t) __attribute__((always_inline)) {
    return F8Tile(task, tile + static_cast<std::size_t>(t));
  };
  const auto input = [&](int r, std::size_t k) __attribute__((always_inline)) {
    return Simd::set1(task.x[static_cast<std::size_t>(r) * task.ldx + k]);
  };
  Simd::F total[kSums], part[kSums], scale[kTiles];
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) total[i] = part[i] = Simd::zero();
  for (std::size_t block = 0; block < task.cols; block += minke::kernels::kF8Block) {
    const std::size_t left = task.cols - block;
    const std::size_t end = left < minke::kernels::kF8Block ? task.cols : block + minke::kernels::kF8Block;
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) scale[t] = at(t).scale(block);
    std::size_t k = block;
    for (; k + 2 <= end; k += 2) {
#pragma GCC unroll 4
      for (int t = 0; t < kTiles; ++t) {
        Simd::F even, odd;
        Simd::load_f8_pair(at(t).weights + 16 * k, even, odd);
        even = Simd::mul(even, scale[t]);
        odd = Simd::mul(odd, scale[t]);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          part[r * kTiles + t] = Simd::fma(input(r, k), even, part[r * kTiles + t]);
          part[r * kTiles + t] = Simd::fma(input(r, k + 1), odd, part[r * kTiles + t]);
        }
      }
    }
    if (k < end) {
#pragma GCC unroll 4
      for (int t = 0; t < kTiles; ++t) {
        const Simd::F weights = Simd::mul(Simd::load_f8(at(t).weights + 16 * k), scale[t]);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) part[r * kTiles + t] = Simd::fma(input(r, k), weights, part[r * kTiles + t]);
      }
    }
    if (end % kSumInputs != 0 && end != task.cols) continue;
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      total[i] = Simd::add(total[i], part[i]);
      part[i] = Simd::zero();
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i)
    store_output(task, tile + static_cast<std::size_t>(i % kTiles), static_cast<std::size_t>(i / kTiles), total[i]);
}

template <int kTiles, int kRows>
void linear_f8_rows(const LinearTask& task) {
  std::size_t tile = 0;
  for (; task.tile_count - tile >= kTiles; tile += kTiles) multiply_f8_rows<kTiles, kRows>(task, tile);
  for (; tile < task.tile_count; ++tile) multiply_f8_rows<1, kRows>(task, tile);
}

using DecodeFloats = void (*)(const LinearTask&, std::size_t tile, std::size_t first, std::size_t count,
                              float (*out)[16]);

/// `decode` null: the tile is fp32 already.
void linear_float_with(const LinearTask& task, DecodeFloats decode) {
  for (std::size_t tile = 0; tile < task.tile_count; ++tile) {
    for (std::size_t row = 0; row < task.rows; row += kChunkRows) {
      const std::size_t rows = task.rows - row < kChunkRows ? task.rows - row : kChunkRows;
      ChunkSums sums;
      std::memset(&sums, 0, rows * sizeof sums.v[0]);
      DecodedFloats decoded;
      for (std::size_t first = 0; first < task.cols; first += kSumInputs) {
        const std::size_t count = task.cols - first < kSumInputs ? task.cols - first : kSumInputs;
        const float(*w)[16] = decoded.v;
        if (decode != nullptr) {
          decode(task, tile, first, count, decoded.v);
        } else {
          w = reinterpret_cast<const float(*)[16]>(task.tiles + tile * task.tile_bytes) + first;
        }
        in_runs<Simd::kFloatRows>(rows, MultiplyFloats{w, count, task.x + row * task.ldx + first, task.ldx, sums.v});
      }
      for (std::size_t r = 0; r < rows; ++r) store_output(task, tile, row + r, Simd::load(sums.v[r]));
    }
  }
}

void linear_f8(const LinearTask& task) {
  switch (task.rows) {
    case 1:
      return linear_f8_rows<4, 1>(task);
    case 2:
      return linear_f8_rows<4, 2>(task);
    case 3:
      return linear_f8_rows<2, 3>(task);
    case 4:
      return linear_f8_rows<2, 4>(task);
    default:
      return linear_float_with(task, &decode_f8);
  }
}

}  // namespace
