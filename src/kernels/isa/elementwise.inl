// Row-wise operations on 16 lanes. Included by the isa_*.cc after Simd and exp.inl.

namespace {

/// Calls full(i) for each whole vector of [0, n) and tail(i, left) for the rest, if any.
template <typename Full, typename Tail>
inline void for_vectors(std::size_t n, const Full& full, const Tail& tail) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) full(i);
  if (i < n) tail(i, n - i);
}

/// y = (x * (1 / sqrt(mean(x^2) + eps))) * weight. The sum of squares: element i in lane i mod 16.
void rms_norm(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, const float* weight, float eps,
              float* y, std::size_t ldy) noexcept {
  for (std::size_t row = 0; row < rows; ++row, x += ldx, y += ldy) {
    Simd::F squares = Simd::zero();
    const auto square = [&](Simd::F v) { squares = Simd::fma(v, v, squares); };
    for_vectors(
        cols, [&](std::size_t i) { square(Simd::load(x + i)); },
        [&](std::size_t i, std::size_t left) { square(Simd::load_partial(x + i, left)); });
    const float mean = Simd::reduce_add(squares) / static_cast<float>(cols);
    const Simd::F inverse = Simd::set1(1.0f / __builtin_sqrtf(mean + eps));
    for_vectors(
        cols,
        [&](std::size_t i) {
          Simd::store(y + i, Simd::mul(Simd::mul(Simd::load(x + i), inverse), Simd::load(weight + i)));
        },
        [&](std::size_t i, std::size_t left) {
          const Simd::F scaled = Simd::mul(Simd::load_partial(x + i, left), inverse);
          Simd::store_partial(y + i, Simd::mul(scaled, Simd::load_partial(weight + i, left)), left);
        });
  }
}

/// Each head's (a, b) = (x[i], x[i + half]) -> (a cos - b sin, b cos + a sin), products rounded before the sum
/// as in the reference implementations.
void rope(float* x, std::size_t heads, std::size_t head_dim, std::size_t half, const float* cos,
          const float* sin) noexcept {
  for (std::size_t head = 0; head < heads; ++head, x += head_dim) {
    for_vectors(
        half,
        [&](std::size_t i) {
          const Simd::F a = Simd::load(x + i), b = Simd::load(x + half + i);
          const Simd::F c = Simd::load(cos + i), s = Simd::load(sin + i);
          Simd::store(x + i, Simd::sub(Simd::mul(a, c), Simd::mul(b, s)));
          Simd::store(x + half + i, Simd::add(Simd::mul(b, c), Simd::mul(a, s)));
        },
        [&](std::size_t i, std::size_t left) {
          const Simd::F a = Simd::load_partial(x + i, left), b = Simd::load_partial(x + half + i, left);
          const Simd::F c = Simd::load_partial(cos + i, left), s = Simd::load_partial(sin + i, left);
          Simd::store_partial(x + i, Simd::sub(Simd::mul(a, c), Simd::mul(b, s)), left);
          Simd::store_partial(x + half + i, Simd::add(Simd::mul(b, c), Simd::mul(a, s)), left);
        });
  }
}

inline Simd::F swiglu_lanes(Simd::F gate, Simd::F up) {
  const Simd::F denominator = Simd::add(Simd::set1(1.0f), exp_lanes(Simd::sub(Simd::zero(), gate)));
  return Simd::mul(Simd::div(gate, denominator), up);
}

void swiglu(const float* gate, const float* up, std::size_t n, float* y) noexcept {
  for_vectors(
      n, [&](std::size_t i) { Simd::store(y + i, swiglu_lanes(Simd::load(gate + i), Simd::load(up + i))); },
      [&](std::size_t i, std::size_t left) {
        const Simd::F v = swiglu_lanes(Simd::load_partial(gate + i, left), Simd::load_partial(up + i, left));
        Simd::store_partial(y + i, v, left);
      });
}

void add_to(float* x, const float* y, std::size_t n) noexcept {
  for_vectors(
      n, [&](std::size_t i) { Simd::store(x + i, Simd::add(Simd::load(x + i), Simd::load(y + i))); },
      [&](std::size_t i, std::size_t left) {
        Simd::store_partial(x + i, Simd::add(Simd::load_partial(x + i, left), Simd::load_partial(y + i, left)), left);
      });
}

void add_scaled_to(float* x, float factor, const float* y, std::size_t n) noexcept {
  const Simd::F f = Simd::set1(factor);
  for_vectors(
      n, [&](std::size_t i) { Simd::store(x + i, Simd::add(Simd::load(x + i), Simd::mul(f, Simd::load(y + i)))); },
      [&](std::size_t i, std::size_t left) {
        const Simd::F scaled = Simd::mul(f, Simd::load_partial(y + i, left));
        Simd::store_partial(x + i, Simd::add(Simd::load_partial(x + i, left), scaled), left);
      });
}

void exp_all(const float* x, std::size_t n, float* y) noexcept {
  for_vectors(
      n, [&](std::size_t i) { Simd::store(y + i, exp_lanes(Simd::load(x + i))); },
      [&](std::size_t i, std::size_t left) {
        Simd::store_partial(y + i, exp_lanes(Simd::load_partial(x + i, left)), left);
      });
}

}  // namespace
