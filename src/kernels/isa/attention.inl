// Grouped-query attention over blocks of 64 tokens, in fp32. Included by the isa_*.cc after attention_splits.inl and
// elementwise.inl.
//
// A task is up to kAttentionPairs (row, head) pairs that read one kv head of one sequence. Every pair's
// arithmetic is its own chain of operations, the same whatever other pairs share the task: pairs are only
// processed side by side so that a loaded key or value serves several of them.

namespace {

using minke::kernels::kKeyGroup;
using minke::kernels::kLatentGroup;
using minke::kernels::KvType;

/// Two BF16 numbers of one lane: what k and k + 1 (even and odd) multiply.
struct Bf16Pair {
  std::uint16_t v[2];
};

/// Numbers along k that one element of b holds.
template <typename T>
constexpr std::size_t kPerElement = 1;
template <>
constexpr std::size_t kPerElement<Bf16Pair> = 2;

inline Simd::F load_kv(const float* p) { return Simd::load(p); }
inline Simd::F load_kv(const std::uint16_t* p) { return Simd::load_bf16(p); }
inline Simd::F load_kv(const std::int8_t* p) { return Simd::to_float(Simd::widen_i8(p)); }

/// The lanes that an even or odd k multiplies.
template <bool kOdd, typename T>
inline Simd::F load_lanes(const T* p) {
  if constexpr (kPerElement<T> == 2) {
    Simd::F even, odd;
    Simd::load_bf16_pairs(p->v, even, odd);
    return kOdd ? odd : even;
  } else {
    return load_kv(p);
  }
}

/// Up to kTileRows rows a[r] to multiply with b, and where the sums go.
template <typename T>
struct Product {
  const float* const* a;   ///< a[row][k]
  std::size_t begin, end;  ///< of k
  const T* b;              ///< [k / kPerElement][ldb]
  std::size_t ldb;
  const float* scale;  ///< per row: what c is multiplied by before anything is added; null: c starts from 0
  float* c;            ///< [row][ldc]
  std::size_t ldc;
  const char* ahead;  ///< what will be read next: fetched at the pace at which b is read
};

template <bool kValue>
struct Constant {
  static constexpr bool value = kValue;
};

/// c[r][0, 16 Vectors) = start + sum over k in [begin, end), in order, of a[r][k] * b[k][lane]; start is 0, or
/// c[r] * scale[r]. The sums stay in registers (see max_vectors); GCC leaves them in memory unless told to
/// unroll.
template <int Rows, int Vectors, typename T>
inline void multiply_tile(const Product<T>& p) {
  Simd::F sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) sum[r][v] = Simd::zero();
  if (p.scale != nullptr) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v)
        sum[r][v] = Simd::mul(Simd::load(p.c + r * p.ldc + v * 16), Simd::set1(p.scale[r]));
  }
  const float* a[Rows];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) a[r] = p.a[r];
  constexpr std::size_t kPer = kPerElement<T>;
  const T* row = p.b + p.begin / kPer * p.ldb;
  const char* ahead = p.ahead;
  constexpr int kBytes = Vectors * 16 * static_cast<int>(sizeof(T) / kPer);
  const auto step = [&](std::size_t k, auto odd) __attribute__((always_inline)) {
    Simd::F lanes[Vectors];
#pragma GCC unroll 8
    for (int line = 0; line < kBytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
    ahead += kBytes;
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) lanes[v] = load_lanes<decltype(odd)::value>(row + v * 16);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Simd::F factor = Simd::set1(a[r][k]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = Simd::fma(factor, lanes[v], sum[r][v]);
    }
  };
  std::size_t k = p.begin;
  if constexpr (kPer == 2) {
    if (k % 2 != 0 && k < p.end) {
      step(k++, Constant<true>{});
      row += p.ldb;
    }
    for (; k + 2 <= p.end; k += 2, row += p.ldb) {
      step(k, Constant<false>{});
      step(k + 1, Constant<true>{});
    }
    if (k < p.end) step(k, Constant<false>{});
  } else {
    for (; k < p.end; ++k, row += p.ldb) step(k, Constant<false>{});
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) Simd::store(p.c + r * p.ldc + v * 16, sum[r][v]);
}

/// Vectors per tile, so that Rows * Vectors sums, Vectors operands and a factor fit the registers; for one row
/// enough of them to hide the latency of the multiply-add.
template <int Rows>
constexpr int max_vectors() {
  if (Rows == 1) return Simd::kRegisters >= 32 ? 8 : 4;
  int vectors = 8;
  while (vectors > 1 && Rows * vectors + vectors + 1 > Simd::kRegisters) vectors /= 2;
  return vectors;
}

template <int Rows, int Vectors, typename T>
inline void multiply_columns(Product<T> p, std::size_t vectors) {
  for (; vectors >= Vectors; vectors -= Vectors, p.b += Vectors * 16, p.c += Vectors * 16) {
    multiply_tile<Rows, Vectors>(p);
    p.ahead += (p.end - p.begin) * Vectors * 16 * sizeof(T) / kPerElement<T>;
  }
  if constexpr (Vectors > 1)
    if (vectors > 0) multiply_columns<Rows, Vectors / 2>(p, vectors);
}

/// Rows per tile: six are the heads per kv head of Qwen2.5-1.5B, and 6 x 4 sums fill AVX-512's registers.
constexpr std::size_t kTileRows = 6;

/// The same for 1 .. kTileRows rows and any number of vectors. Not inlined: one copy of its many tiles is enough.
template <typename T>
[[gnu::noinline]] void multiply(std::size_t rows, const Product<T>& p, std::size_t vectors) {
  switch (rows) {
    case 1:
      return multiply_columns<1, max_vectors<1>()>(p, vectors);
    case 2:
      return multiply_columns<2, max_vectors<2>()>(p, vectors);
    case 3:
      return multiply_columns<3, max_vectors<3>()>(p, vectors);
    case 4:
      return multiply_columns<4, max_vectors<4>()>(p, vectors);
    case 5:
      return multiply_columns<5, max_vectors<5>()>(p, vectors);
    default:
      return multiply_columns<6, max_vectors<6>()>(p, vectors);
  }
}

/// One block's scores s[64] -> weights e^(scale s - max), 0 beyond the pair's tokens; updates its state.
void softmax_block(float scale, float* s, PairState& state) {
  const Simd::F factor = Simd::set1(scale);
  Simd::F lanes[4];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) lanes[g] = Simd::mul(Simd::load(s + g * 16), factor);
  if (state.tokens < kKvBlock) {
    // What the cache holds there is not of this sequence's past: any bits, which may not reach a sum.
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) Simd::store(s + g * 16, lanes[g]);
    for (std::size_t t = state.tokens; t < kKvBlock; ++t) s[t] = kMinusInfinity;
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) lanes[g] = Simd::load(s + g * 16);
  }
  const float block_max = Simd::reduce_max(Simd::max(Simd::max(lanes[0], lanes[1]), Simd::max(lanes[2], lanes[3])));
  const float max = block_max > state.max ? block_max : state.max;
  const Simd::F max_lanes = Simd::set1(max);
  Simd::F sum = Simd::zero();
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    const Simd::F weights = exp_lanes(Simd::sub(lanes[g], max_lanes));
    Simd::store(s + g * 16, weights);
    sum = Simd::add(sum, weights);
  }
  // A maximum that stands means a factor of 1, exactly: e^0.
  Simd::F rescale = Simd::set1(1);
  if (max != state.max) {
    rescale = exp_lanes(Simd::sub(Simd::set1(state.max), max_lanes));
    alignas(64) float first[16];
    Simd::store(first, rescale);
    state.rescale = first[0];
  }
  Simd::store(state.sums, Simd::fma(Simd::load(state.sums), rescale, sum));
  state.max = max;
}

/// s[64] *= the tokens' scales.
inline void scale_tokens(float* s, const float* scales) {
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) Simd::store(s + g * 16, Simd::mul(Simd::load(s + g * 16), Simd::load(scales + g * 16)));
}

/// out += weights * V for the pairs [first, first + count) of a tile; tokens' values are ldv apart. Pairs with fewer
/// tokens than others go on alone: a product of weight 0 with whatever lies behind a row's position could still be NaN.
template <typename T>
void add_values(const AttentionTask& task, const T* values, std::size_t ldv, const char* ahead, std::size_t first,
                std::size_t count, AttentionScratch& scratch) {
  const std::size_t stride = task.v_stride;
  const float* weights[kTileRows];
  float rescale[kTileRows];
  std::size_t common = kKvBlock;
  for (std::size_t r = 0; r < count; ++r) {
    const PairState& state = scratch.state[first + r];
    weights[r] = scratch.scores + (first + r) * kKvBlock;
    rescale[r] = state.rescale;
    if (state.tokens < common) common = state.tokens;
  }
  float* out = scratch.out + first * stride;
  multiply(count, Product<T>{weights, 0, common, values, ldv, rescale, out, stride, ahead}, stride / 16);
  const float one = 1;
  for (std::size_t r = 0; r < count; ++r) {
    const std::size_t tokens = scratch.state[first + r].tokens;
    if (tokens > common)
      multiply(1, Product<T>{weights + r, common, tokens, values, ldv, &one, out + r * stride, stride, ahead},
               stride / 16);
  }
}

/// One block's scores, weights and sums. `keys`, [k_dim / kPerElement][64], may be the cache's or a widened copy. Of
/// what is read next `fetch` is fetched while the first tile reads the keys, `next` while the tiles read the values.
template <typename K, typename V>
void attend_block(const AttentionTask& task, std::size_t block, const K* keys, const char* fetch, const char* next,
                  std::size_t pairs, AttentionScratch& scratch) {
  const V* values = reinterpret_cast<const V*>(task.blocks[block] + task.value_offset);
  count_tokens(task, block, 1, pairs, scratch.state);
  for (std::size_t p = 0; p < pairs; p += kTileRows, fetch = reinterpret_cast<const char*>(keys)) {
    const std::size_t count = pairs - p < kTileRows ? pairs - p : kTileRows;
    std::size_t tokens = 0;
    for (std::size_t r = 0; r < count; ++r)
      if (scratch.state[p + r].tokens > tokens) tokens = scratch.state[p + r].tokens;
    multiply(count,
             Product<K>{scratch.q + p, 0, task.k_dim, keys, kKvBlock, nullptr, scratch.scores + p * kKvBlock, kKvBlock,
                        fetch},
             (tokens + 15) / 16);
  }
  // What lies behind a pair's tokens may become anything here: softmax_block masks it, add_values stops before it.
  for (std::size_t p = 0; p < pairs; ++p) {
    float* scores = scratch.scores + p * kKvBlock;
    scratch.state[p].rescale = 1;
    if (scratch.state[p].tokens == 0) continue;
    softmax_block(task.scale, scores, scratch.state[p]);
    if (sizeof(V) == 1) scale_tokens(scores, reinterpret_cast<const float*>(task.blocks[block] + task.value_scales));
  }
  for (std::size_t p = 0; p < pairs; p += kTileRows, next = reinterpret_cast<const char*>(values))
    add_values(task, values, task.v_stride, next, p, pairs - p < kTileRows ? pairs - p : kTileRows, scratch);
}

template <typename T>
void attend_stored(const AttentionTask& task, std::size_t block, std::size_t next, std::size_t pairs,
                   AttentionScratch& scratch) {
  const T* keys = reinterpret_cast<const T*>(task.blocks[block] + task.key_offset);
  attend_block<T, T>(task, block, keys, reinterpret_cast<const char*>(task.blocks[block] + task.value_offset),
                     reinterpret_cast<const char*>(task.blocks[next] + task.key_offset), pairs, scratch);
}

/// wide[k_dim][64] = scale * q, rounded, of a block's keys; fetches its values at the same pace.
inline void widen_keys(const AttentionTask& task, std::size_t block, float* wide) {
  const auto* keys = reinterpret_cast<const std::int8_t*>(task.blocks[block] + task.key_offset);
  const auto* scales = reinterpret_cast<const std::uint16_t*>(task.blocks[block] + task.key_scales);
  const char* ahead = reinterpret_cast<const char*>(task.blocks[block] + task.value_offset);
  for (std::size_t group = 0; group < task.k_dim; group += kKeyGroup, scales += kKvBlock) {
    const std::size_t end = task.k_dim - group < kKeyGroup ? task.k_dim : group + kKeyGroup;
    Simd::F lanes[4];
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) lanes[g] = Simd::load_bf16(scales + g * 16);
    for (std::size_t d = group; d < end; ++d) {
      __builtin_prefetch(ahead + d * kKvBlock, 0, 2);
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
        const std::size_t at = d * kKvBlock + static_cast<std::size_t>(g) * 16;
        Simd::store(wide + at, Simd::mul(load_kv(keys + at), lanes[g]));
      }
    }
  }
}

/// Keys of bytes are widened once per block: their scales change every eight channels, and a task's tiles of pairs
/// share the work.
[[gnu::noinline]] void attend_bytes(const AttentionTask& task, AttentionScratch& scratch) {
  alignas(64) float wide[kKvBlock * minke::kernels::kMaxAttentionDim];
  attend_splits<1>(task, scratch, [&](std::size_t block, std::size_t, std::size_t next) {
    widen_keys(task, block, wide);
    attend_block<float, std::int8_t>(task, block, wide, reinterpret_cast<const char*>(wide),
                                     reinterpret_cast<const char*>(task.blocks[next] + task.key_offset),
                                     task.rows * task.heads, scratch);
  });
}

void attention(const AttentionTask& task) noexcept {
  AttentionScratch scratch;
  const std::size_t pairs = task.rows * task.heads;
  if (task.type == KvType::q8) return attend_bytes(task, scratch);
  attend_splits<1>(task, scratch, [&](std::size_t block, std::size_t, std::size_t next) {
    if (task.type == KvType::bf16)
      attend_stored<Bf16Pair>(task, block, next, pairs, scratch);
    else
      attend_stored<float>(task, block, next, pairs, scratch);
  });
}

void attention_merge(float* records, std::size_t count, std::size_t v_dim, std::size_t v_stride, float* out) noexcept {
  const std::size_t record = kAttentionPartHead + v_stride;
  for (std::size_t i = 1; i < count; ++i) {
    const float* part = records + i * record;
    merge_record(records, part[0], part + 16, part + kAttentionPartHead, v_stride);
  }
  finish_record(records, v_dim, out);
}

}  // namespace
