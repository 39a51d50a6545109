// What every kind of attention shares: a task's scratch, what a (row, head) pair carries from block to block, and
// splits. A row's past is summed split by split (kv_layout.h), each from nothing, and the splits' records are merged
// in ascending order: in the task that saw them all, or by attention_merge when several tasks shared a row's past.
// Included by the isa_*.cc after Simd and exp.inl.

namespace {

using minke::kernels::AttentionTask;
using minke::kernels::kAttentionPairs;
using minke::kernels::kAttentionPartHead;
using minke::kernels::kAttentionScratch;
using minke::kernels::kKvBlock;

constexpr float kMinusInfinity = -__builtin_inff();

/// What a pair carries from block to block (Milakov & Gimelshein 2018).
struct PairState {
  float max;
  float rescale = 1;           ///< e^(old max - new max) of these blocks
  std::uint32_t tokens = 0;    ///< of these blocks: those at or before the row's position
  alignas(64) float sums[16];  ///< sum of weights: token t in lane t mod 16
};

/// A task's scratch, on the stack: at most 12 + 64 + 70 + 5 KiB.
struct AttentionScratch {
  alignas(64) float scores[kAttentionPairs * kKvBlock];
  alignas(64) float out[kAttentionScratch];                                           // [pairs][v_stride], of a split
  alignas(64) float total[kAttentionScratch + kAttentionPairs * kAttentionPartHead];  // [pairs][record]
  PairState state[kAttentionPairs];
  const float* q[kAttentionPairs];
};

/// How many tokens of `blocks` blocks from `block` on each pair sees.
void count_tokens(const AttentionTask& task, std::size_t block, std::size_t blocks, std::size_t pairs,
                  PairState* state) {
  const std::size_t start = block * kKvBlock, most = blocks * kKvBlock;
  for (std::size_t p = 0; p < pairs; ++p) {
    const std::size_t seen = std::size_t{task.positions[p / task.heads]} + 1;
    state[p].tokens = static_cast<std::uint32_t>(seen <= start ? 0 : seen - start < most ? seen - start : most);
  }
}

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

/// Calls attend(block, stop, next) for the blocks [block, stop) of every split of the task, in order, kBlocks at a time
/// (every split has a multiple of them); `next` is what is read after them. Without parts a task starts at split 0.
template <std::size_t kBlocks, typename Attend>
inline void attend_splits(const AttentionTask& task, AttentionScratch& scratch, const Attend& attend) {
  const std::size_t pairs = task.rows * task.heads;
  const std::size_t last_block = begin_pairs(task, pairs, scratch);
  for (std::size_t split = task.first_split; split < task.last_split; ++split) {
    const std::size_t first = split == 0 ? 0 : task.split_ends[split - 1];
    if (first > last_block) break;
    const std::size_t end = last_block < task.split_ends[split] ? last_block + 1 : task.split_ends[split];
    begin_split(task, pairs, scratch);
    for (std::size_t block = first, stop; block < end; block = stop) {
      stop = block + kBlocks < end ? block + kBlocks : end;
      attend(block, stop, stop <= last_block ? stop : last_block);
    }
    end_split(task, split, first, pairs, scratch);
  }
  if (task.parts != nullptr) return;
  const std::size_t record = kAttentionPartHead + task.v_stride;
  for (std::size_t p = 0; p < pairs; ++p)
    finish_record(scratch.total + p * record, task.v_dim,
                  task.out + p / task.heads * task.ldo + p % task.heads * task.v_dim);
}

}  // namespace
