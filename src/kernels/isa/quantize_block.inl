// fp32 activations to int8 blocks of 256. Included by the files that have linear_blocks.inl.

namespace {

using minke::kernels::ActivationLine;
using minke::kernels::BlockTail;
using minke::kernels::kBlockLines;
using minke::kernels::kSmallestMax;

/// The largest |x| of a block as bits, which order like the values, with NaN above infinity.
std::int32_t largest_bits(const float* x) {
  const Simd::I magnitude = Simd::set1_int(0x7fffffff);
  Simd::I most = Simd::set1_int(0);
  for (std::size_t i = 0; i < kBlockInputs; i += 16)
    most = Simd::max_int(most, Simd::and_int(Simd::as_int(Simd::load(x + i)), magnitude));
  return Simd::reduce_max_int(most);
}

void quantize_block(const float* x, ActivationLine* out, std::size_t stride, BlockTail* tail) noexcept {
  const std::int32_t bits = largest_bits(x);
  float largest;
  std::memcpy(&largest, &bits, sizeof largest);
  if (bits >= 0x7f800000 || largest < kSmallestMax) {
    for (std::size_t line = 0; line < kBlockLines; ++line) out[line * stride] = {};
    *tail = {bits >= 0x7f800000 ? __builtin_nanf("") : 0.0F, 0};
    return;
  }
  const Simd::F inverse = Simd::set1(127.0F / largest);
  Simd::I sum = Simd::set1_int(0);
  for (std::size_t i = 0; i < 16; ++i) {
    const Simd::I q = Simd::round_to_int(Simd::mul(Simd::load(x + 16 * i), inverse));
    Simd::store_bytes_of(reinterpret_cast<std::int8_t*>(out[i / 4 * stride].bytes) + 16 * (i % 4), q);
    sum = Simd::add_int(sum, q);
  }
  *tail = {largest / 127.0F, -128 * Simd::reduce_add_int(sum)};
}

}  // namespace
