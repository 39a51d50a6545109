// Grouped-query attention over blocks of 64 tokens. Included by the isa_*.cc after Simd, row_kernels.h, exp.inl and
// elementwise.inl.
//
// A task is up to kAttentionPairs (row, head) pairs that read one kv head of one sequence. Every pair's
// arithmetic is its own chain of operations, the same whatever other pairs share the task: pairs are only
// processed side by side so that a loaded key or value serves several of them.

namespace {

using minke::kernels::AttentionTask;
using minke::kernels::kAttentionPairs;
using minke::kernels::kAttentionPartHead;
using minke::kernels::kAttentionScratch;
using minke::kernels::kKeyGroup;
using minke::kernels::kKvBlock;
using minke::kernels::kLatentGroup;
using minke::kernels::KvType;

inline Simd::F load_kv(const float* p) { return Simd::load(p); }
inline Simd::F load_kv(const std::uint16_t* p) { return Simd::load_bf16(p); }
inline Simd::F load_kv(const std::int8_t* p) { return Simd::to_float(Simd::widen_i8(p)); }

/// Up to kTileRows rows a[r] to multiply with b, and where the sums go.
template <typename T>
struct Product {
  const float* const* a;   ///< a[row][k]
  std::size_t begin, end;  ///< of k
  const T* b;              ///< [k][ldb]
  std::size_t ldb;
  const float* scale;  ///< per row: what c is multiplied by before anything is added; null: c starts from 0
  float* c;            ///< [row][ldc]
  std::size_t ldc;
  const char* ahead;  ///< what will be read next: fetched at the pace at which b is read
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
  const T* row = p.b + p.begin * p.ldb;
  const char* ahead = p.ahead;
  constexpr int kBytes = Vectors * 16 * static_cast<int>(sizeof(T));
  for (std::size_t k = p.begin; k < p.end; ++k, row += p.ldb, ahead += kBytes) {
    Simd::F lanes[Vectors];
#pragma GCC unroll 8
    for (int line = 0; line < kBytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) lanes[v] = load_kv(row + v * 16);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Simd::F factor = Simd::set1(a[r][k]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = Simd::fma(factor, lanes[v], sum[r][v]);
    }
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
    p.ahead += (p.end - p.begin) * Vectors * 16 * sizeof(T);
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

constexpr float kMinusInfinity = -__builtin_inff();

/// What a pair carries from block to block (Milakov & Gimelshein 2018).
struct PairState {
  float max;
  float rescale = 1;           ///< e^(old max - new max) of this block
  std::uint32_t tokens = 0;    ///< of this block, 0 .. 64: those at or before the row's position
  alignas(64) float sums[16];  ///< sum of weights: token t in lane t mod 16
};

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

/// A task's scratch, on the stack: at most 12 + 64 + 70 + 5 KiB.
struct AttentionScratch {
  alignas(64) float scores[kAttentionPairs * kKvBlock];
  alignas(64) float out[kAttentionScratch];                                           // [pairs][v_stride], of a split
  alignas(64) float total[kAttentionScratch + kAttentionPairs * kAttentionPartHead];  // [pairs][record]
  PairState state[kAttentionPairs];
  const float* q[kAttentionPairs];
};

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

/// How many of a block's tokens each pair sees.
void count_tokens(const AttentionTask& task, std::size_t block, std::size_t pairs, PairState* state) {
  const std::size_t start = block * kKvBlock;
  for (std::size_t p = 0; p < pairs; ++p) {
    const std::size_t seen = std::size_t{task.positions[p / task.heads]} + 1;
    state[p].tokens = static_cast<std::uint32_t>(seen <= start ? 0 : seen - start < kKvBlock ? seen - start : kKvBlock);
  }
}

/// One block's scores, weights and sums. `keys`, [k_dim][64], may be the cache's or a widened copy. Of what is read
/// next `fetch` is fetched while the first tile reads the keys, `next` while the tiles read the values.
template <typename K, typename V>
void attend_block(const AttentionTask& task, std::size_t block, const K* keys, const char* fetch, const char* next,
                  std::size_t pairs, AttentionScratch& scratch) {
  const V* values = reinterpret_cast<const V*>(task.blocks[block] + task.value_offset);
  count_tokens(task, block, pairs, scratch.state);
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

// --- splits -----------------------------------------------------------------------------------------------
//
// A row's past is summed split by split (kv_layout.h), each from nothing, and the splits' records are merged in
// ascending order: in the task that saw them all, or by attention_merge when several tasks shared a row's past.

/// A split's record: the maximum, in float 16 on the sixteen sums of weights, then the outputs.
void set_record(const PairState& state, const float* out, std::size_t stride, float* record) {
  Simd::store(record, Simd::set1(state.max));
  Simd::store(record + 16, Simd::load(state.sums));
  for (std::size_t i = 0; i < stride; i += 16) Simd::store(record + kAttentionPartHead + i, Simd::load(out + i));
}

/// total += part, both brought to the larger maximum.
void merge_record(float* total, float part_max, const float* part_sums, const float* part_out, std::size_t stride) {
  const float max = part_max > total[0] ? part_max : total[0];
  const Simd::F scale_total = exp_lanes(Simd::sub(Simd::set1(total[0]), Simd::set1(max)));
  const Simd::F scale_part = exp_lanes(Simd::sub(Simd::set1(part_max), Simd::set1(max)));
  Simd::store(total, Simd::set1(max));
  const auto add = [&](float* to, const float* from) {
    Simd::store(to, Simd::fma(Simd::load(from), scale_part, Simd::mul(Simd::load(to), scale_total)));
  };
  add(total + 16, part_sums);
  for (std::size_t i = 0; i < stride; i += 16) add(total + kAttentionPartHead + i, part_out + i);
}

/// out = o / l.
void finish_record(const float* record, std::size_t v_dim, float* out) {
  const Simd::F total = Simd::set1(Simd::reduce_add(Simd::load(record + 16)));
  const float* o = record + kAttentionPartHead;
  std::size_t i = 0;
  for (; i + 16 <= v_dim; i += 16) Simd::store(out + i, Simd::div(Simd::load(o + i), total));
  if (i < v_dim) Simd::store_partial(out + i, Simd::div(Simd::load(o + i), total), v_dim - i);
}

void attention_merge(float* records, std::size_t count, std::size_t v_dim, std::size_t v_stride, float* out) noexcept {
  const std::size_t record = kAttentionPartHead + v_stride;
  for (std::size_t i = 1; i < count; ++i) {
    const float* part = records + i * record;
    merge_record(records, part[0], part + 16, part + kAttentionPartHead, v_stride);
  }
  finish_record(records, v_dim, out);
}

/// Points at the queries; the last block that a row of the task sees.
std::size_t begin_pairs(const AttentionTask& task, std::size_t pairs, AttentionScratch& scratch) {
  std::uint32_t last = 0;
  for (std::size_t row = 0; row < task.rows; ++row)
    if (task.positions[row] > last) last = task.positions[row];
  for (std::size_t p = 0; p < pairs; ++p)
    scratch.q[p] = task.q + p / task.heads * task.ldq + p % task.heads * task.k_dim;
  for (std::size_t i = 0; i < pairs * kKvBlock; i += 16) Simd::store(scratch.scores + i, Simd::zero());
  return last / kKvBlock;
}

/// Every pair's sums of a split start from nothing.
void begin_split(const AttentionTask& task, std::size_t pairs, AttentionScratch& scratch) {
  for (std::size_t p = 0; p < pairs; ++p) {
    scratch.state[p].max = kMinusInfinity;
    Simd::store(scratch.state[p].sums, Simd::zero());
  }
  for (std::size_t i = 0; i < pairs * task.v_stride; i += 16) Simd::store(scratch.out + i, Simd::zero());
}

/// Takes a split's sums of the pairs that see any of it: into the totals, or out to the task's parts.
void end_split(const AttentionTask& task, std::size_t split, std::size_t first_block, std::size_t pairs,
               AttentionScratch& scratch) {
  const std::size_t record = kAttentionPartHead + task.v_stride;
  for (std::size_t p = 0; p < pairs; ++p) {
    const std::size_t row = p / task.heads;
    if (std::size_t{task.positions[row]} < first_block * kKvBlock) continue;
    const PairState& state = scratch.state[p];
    const float* out = scratch.out + p * task.v_stride;
    if (task.parts != nullptr) {
      set_record(state, out, task.v_stride,
                 task.parts + row * task.part_row + p % task.heads * task.part_head + split * record);
    } else if (split == 0) {
      set_record(state, out, task.v_stride, scratch.total + p * record);
    } else {
      merge_record(scratch.total + p * record, state.max, state.sums, out, task.v_stride);
    }
  }
}

/// Calls attend(block, next) for the blocks of every split of the task, in order. Without parts a task starts at
/// split 0.
template <typename Attend>
inline void attend_splits(const AttentionTask& task, AttentionScratch& scratch, const Attend& attend) {
  const std::size_t pairs = task.rows * task.heads;
  const std::size_t last_block = begin_pairs(task, pairs, scratch);
  for (std::size_t split = task.first_split; split < task.last_split; ++split) {
    const std::size_t first = split == 0 ? 0 : task.split_ends[split - 1];
    if (first > last_block) break;
    const std::size_t end = last_block < task.split_ends[split] ? last_block + 1 : task.split_ends[split];
    begin_split(task, pairs, scratch);
    for (std::size_t block = first; block < end; ++block) attend(block, block < last_block ? block + 1 : block);
    end_split(task, split, first, pairs, scratch);
  }
  if (task.parts != nullptr) return;
  const std::size_t record = kAttentionPartHead + task.v_stride;
  for (std::size_t p = 0; p < pairs; ++p)
    finish_record(scratch.total + p * record, task.v_dim,
                  task.out + p / task.heads * task.ldo + p % task.heads * task.v_dim);
}

/// Keys of bytes are widened once per block: their scales change every eight channels, and a task's tiles of pairs
/// share the work.
[[gnu::noinline]] void attend_bytes(const AttentionTask& task, AttentionScratch& scratch) {
  alignas(64) float wide[kKvBlock * minke::kernels::kMaxAttentionDim];
  attend_splits(task, scratch, [&](std::size_t block, std::size_t next) {
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
  attend_splits(task, scratch, [&](std::size_t block, std::size_t next) {
    if (task.type == KvType::bf16)
      attend_stored<std::uint16_t>(task, block, next, pairs, scratch);
    else
      attend_stored<float>(task, block, next, pairs, scratch);
  });
}

}  // namespace
