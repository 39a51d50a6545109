// fp32 activations to int8 blocks of 256. Included by the files that have linear_blocks.inl.

namespace {

using minke::kernels::ActivationLine;
using minke::kernels::BlockTail;
using minke::kernels::kBlockQLines;
using minke::kernels::kSmallestMax;

constexpr std::size_t kBlockInputs = minke::kernels::kActivationBlock;

/// The largest |x| of a block as bits, which order like the values, with NaN above infinity.
std::int32_t largest_bits(const float* x) {
  const Simd::I magnitude = Simd::set1_int(0x7fffffff);
  Simd::I most = Simd::set1_int(0);
  for (std::size_t i = 0; i < kBlockInputs; i += 16)
    most = Simd::max_int(most, Simd::and_int(Simd::as_int(Simd::load(x + i)), magnitude));
  return Simd::reduce_max_int(most);
}

/// Both parts of sums of 16 integers, |sum| <= 16 * 127, as BF16, which holds each exactly: multiples of 32, the rest.
Simd::I sum_limbs(Simd::I sums) {
  const Simd::I rest = Simd::and_int(sums, Simd::set1_int(31));
  const Simd::I high = Simd::as_int(Simd::to_float(Simd::sub_int(sums, rest)));
  return Simd::add_int(Simd::template shift_right<16>(high), Simd::as_int(Simd::to_float(rest)));
}

void quantize_block(const float* x, ActivationLine* out, std::size_t stride) noexcept {
  const std::int32_t bits = largest_bits(x);
  float largest;
  std::memcpy(&largest, &bits, sizeof largest);
  BlockTail tail{};
  if (bits >= 0x7f800000 || largest < kSmallestMax) {
    for (std::size_t line = 0; line <= kBlockQLines; ++line) out[line * stride] = {};
    if (bits >= 0x7f800000) tail.scale = __builtin_nanf("");
    std::memcpy(out + (kBlockQLines + 1) * stride, &tail, sizeof tail);
    return;
  }
  tail.scale = largest / 127.0F;
  const Simd::F inverse = Simd::set1(127.0F / largest);
  alignas(64) std::int32_t sums[16];
  for (std::size_t i = 0; i < 16; ++i) {
    const Simd::I q = Simd::round_to_int(Simd::mul(Simd::load(x + 16 * i), inverse));
    Simd::store_bytes_of(reinterpret_cast<std::int8_t*>(out[i / 4 * stride].bytes) + 16 * (i % 4), q);
    sums[i] = Simd::reduce_add_int(q);
    tail.sum[i] = static_cast<std::int16_t>(sums[i]);
  }
  const Simd::I limbs = sum_limbs(Simd::as_int(Simd::load(reinterpret_cast<const float*>(sums))));
  Simd::store(reinterpret_cast<float*>(out[kBlockQLines * stride].bytes), Simd::as_float(limbs));
  std::memcpy(out + (kBlockQLines + 1) * stride, &tail, sizeof tail);
}

}  // namespace
