// fp32 activations to int8 groups. Included by the isa_*.cc after Simd.

namespace {

using minke::kernels::kSmallestMax;

void quantize_group(Simd::F a, Simd::F b, minke::kernels::ActivationGroup* out) {
  // Bit patterns of |x| order like the values, with NaN above infinity: nothing is lost in the maximum.
  const Simd::I magnitude = Simd::set1_int(0x7fffffff);
  const std::int32_t bits = Simd::reduce_max_int(
      Simd::max_int(Simd::and_int(Simd::as_int(a), magnitude), Simd::and_int(Simd::as_int(b), magnitude)));
  float largest;
  std::memcpy(&largest, &bits, sizeof largest);

  if (bits >= 0x7f800000 || largest < kSmallestMax) {
    std::memset(out, 0, sizeof *out);
    if (bits >= 0x7f800000) out->scale = __builtin_nanf("");
    return;
  }
  const float scale = largest / 127.0F;
  const Simd::F inverse = Simd::set1(127.0F / largest);
  const Simd::I qa = Simd::round_to_int(Simd::mul(a, inverse));
  const Simd::I qb = Simd::round_to_int(Simd::mul(b, inverse));
  Simd::store_bytes_of(out->q, qa);
  Simd::store_bytes_of(out->q + 16, qb);
  const std::int32_t sum_a = Simd::reduce_add_int(qa), sum_b = Simd::reduce_add_int(qb);
  out->scale = scale;
  out->sum = scale * static_cast<float>(sum_a + sum_b);
  out->half_sum[0] = scale * static_cast<float>(sum_a);
  out->half_sum[1] = scale * static_cast<float>(sum_b);
  out->minus_sum = -(sum_a + sum_b);
  out->minus_half_sum[0] = -sum_a;
  out->minus_half_sum[1] = -sum_b;
  out->unused = 0;
}

void quantize_row(const float* x, std::size_t cols, minke::kernels::ActivationGroup* out, std::size_t stride) noexcept {
  const std::size_t whole = cols / 32;
  for (std::size_t g = 0; g < whole; ++g)
    quantize_group(Simd::load(x + 32 * g), Simd::load(x + 32 * g + 16), out + g * stride);
  const std::size_t rest = cols - 32 * whole;
  if (rest != 0) {
    const float* tail = x + 32 * whole;
    const std::size_t first = rest < 16 ? rest : 16;
    quantize_group(Simd::load_partial(tail, first), Simd::load_partial(tail + first, rest - first),
                   out + whole * stride);
  }
}

}  // namespace
