// Ops' attention and the cache it reads: writing keys and values, and how (row, head) pairs are shared out
// among threads.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

/// Work, in multiply-adds, below which waking other threads (1 to 2 us) costs more than it saves.
constexpr std::size_t kSerialWork = 1 << 17;

/// Rounded to nearest, ties to even; a NaN stays a (quiet) NaN.
std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? (bits >> 16) | 0x40U : rounded);
}

void convert(float x, float& out) { out = x; }
void convert(float x, std::uint16_t& out) { out = to_bf16(x); }

/// Where one kv head's keys and values start in a block.
std::size_t key_offset(const KvLayout& layout, std::size_t layer_offset, std::size_t kv_head) {
  return layer_offset + kv_head * layout.k_channels() * kKvBlock * layout.element_bytes();
}
std::size_t value_offset(const KvLayout& layout, std::size_t layer_offset, std::size_t kv_head) {
  return layer_offset + layout.key_bytes() + kv_head * layout.v_stride() * kKvBlock * layout.element_bytes();
}

/// q8: where the scales of its keys and of its values start.
std::size_t key_scales_offset(const KvLayout& layout, std::size_t layer_offset, std::size_t kv_head) {
  return layer_offset + layout.key_bytes() + layout.value_bytes() + kv_head * layout.groups() * kKvBlock * 2;
}
std::size_t value_scales_offset(const KvLayout& layout, std::size_t layer_offset, std::size_t kv_head) {
  return layer_offset + layout.key_bytes() + layout.value_bytes() + layout.key_scale_bytes() +
         kv_head * kKvBlock * sizeof(float);
}

/// Rows that follow one another in one block, of one kv head.
struct StoreRun {
  std::byte* keys = nullptr;  // as KvLayout says, of one kv head
  std::byte* values = nullptr;
  std::uint16_t* key_scales = nullptr;  // q8: [groups][64] bf16
  float* value_scales = nullptr;        // q8: [64]
  std::size_t token = 0, count = 0;
  const float* k = nullptr;
  std::size_t ldk = 0;
  const float* v = nullptr;
  std::size_t ldv = 0;
};

void store_run_f32(const KvLayout& layout, const StoreRun& run) {
  float* keys = reinterpret_cast<float*>(run.keys) + run.token;
  for (std::size_t d = 0; d < layout.k_dim; ++d)
    for (std::size_t t = 0; t < run.count; ++t) keys[d * kKvBlock + t] = run.k[t * run.ldk + d];
  float* values = reinterpret_cast<float*>(run.values) + run.token * layout.v_stride();
  for (std::size_t t = 0; t < run.count; ++t, values += layout.v_stride()) {
    std::copy_n(run.v + t * run.ldv, layout.v_dim, values);
    std::fill(values + layout.v_dim, values + layout.v_stride(), 0.0f);
  }
}

void store_run_bf16(const KvLayout& layout, const StoreRun& run) {
  auto* keys = reinterpret_cast<std::uint16_t*>(run.keys) + 2 * run.token;
  for (std::size_t d = 0; d < layout.k_channels(); ++d) {
    std::uint16_t* to = keys + d / 2 * 2 * kKvBlock + d % 2;
    for (std::size_t t = 0; t < run.count; ++t)
      to[2 * t] = d < layout.k_dim ? to_bf16(run.k[t * run.ldk + d]) : std::uint16_t{0};
  }
  const std::size_t stride = layout.v_stride();
  for (std::size_t t = 0; t < run.count; ++t) {
    const std::size_t token = run.token + t;
    auto* values = reinterpret_cast<std::uint16_t*>(run.values) + token / 2 * 2 * stride + token % 2;
    const float* v = run.v + t * run.ldv;
    for (std::size_t d = 0; d < layout.v_dim; ++d) values[2 * d] = to_bf16(v[d]);
    for (std::size_t d = layout.v_dim; d < stride; ++d) values[2 * d] = 0;
  }
}

/// The least bf16 that is not below x >= 0.
std::uint16_t bf16_above(float x) {
  return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(x) + 0xffffU) >> 16);
}
float from_bf16(std::uint16_t x) { return std::bit_cast<float>(std::uint32_t{x} << 16); }

/// The scale of n values in q8: NaN when one is not finite; 0 when all are below 2^-96, whose inverse scale would
/// overflow.
float byte_scale(const float* x, std::size_t n) {
  float largest = 0;
  bool finite = true;
  for (std::size_t d = 0; d < n; ++d) {
    const float magnitude = std::fabs(x[d]);
    finite = finite && magnitude < std::numeric_limits<float>::infinity();
    largest = magnitude > largest ? magnitude : largest;
  }
  return !finite ? std::numeric_limits<float>::quiet_NaN() : largest >= 0x1p-96f ? largest / 127.0f : 0.0f;
}

/// out[d * stride] = x[d] / scale, rounded; 0 where the scale is 0 or NaN.
void quantise(const float* x, std::size_t n, float scale, std::int8_t* out, std::size_t stride) {
  const bool counts = scale > 0;
  const float inverse = counts ? 1.0f / scale : 0.0f;
  // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to the even one.
  for (std::size_t d = 0; d < n; ++d)
    out[d * stride] = counts ? static_cast<std::int8_t>(x[d] * inverse + 12582912.0f - 12582912.0f) : std::int8_t{0};
}

/// Groups of `group` channels, each with its scale in bf16, which scales[i * scale_stride] gets.
void quantise_groups(const float* x, std::size_t n, std::size_t group, std::int8_t* out, std::size_t stride,
                     std::uint16_t* scales, std::size_t scale_stride) {
  for (std::size_t d = 0; d < n; d += group, scales += scale_stride) {
    const std::size_t count = std::min(group, n - d);
    const float scale = byte_scale(x + d, count);
    *scales = scale >= 0 ? bf16_above(scale) : to_bf16(scale);
    quantise(x + d, count, from_bf16(*scales), out + d * stride, stride);
  }
}

void store_run_q8(const KvLayout& layout, const StoreRun& run) {
  for (std::size_t t = 0; t < run.count; ++t) {
    const std::size_t token = run.token + t;
    quantise_groups(run.k + t * run.ldk, layout.k_dim, kKeyGroup, reinterpret_cast<std::int8_t*>(run.keys) + token,
                    kKvBlock, run.key_scales + token, kKvBlock);
    auto* values = reinterpret_cast<std::int8_t*>(run.values) + token * layout.v_stride();
    const float scale = byte_scale(run.v + t * run.ldv, layout.v_dim);
    run.value_scales[token] = scale;
    quantise(run.v + t * run.ldv, layout.v_dim, scale, values, 1);
    std::fill(values + layout.v_dim, values + layout.v_stride(), std::int8_t{0});
  }
}

/// One token of the latent form, padded with zeros.
template <typename T>
void store_latent_row(const KvLayout& layout, const float* latent, T* out) {
  for (std::size_t d = 0; d < layout.k_dim; ++d) convert(latent[d], out[d]);
  for (std::size_t d = layout.k_dim; d < layout.k_stride(); ++d) out[d] = 0;
}

/// The length of the run of rows from `begin` that share a sequence.
std::size_t same_sequence(std::span<const RowRef> rows, std::size_t begin, std::size_t end) {
  std::size_t i = begin + 1;
  while (i < end && rows[i].sequence == rows[begin].sequence) ++i;
  return i - begin;
}

/// The same, of rows whose positions also follow one another inside one block.
std::size_t same_block(std::span<const RowRef> rows, std::size_t begin, std::size_t end) {
  std::size_t i = begin + 1;
  while (i < end && rows[i].sequence == rows[begin].sequence && rows[i].position == rows[i - 1].position + 1 &&
         rows[i].position % kKvBlock != 0)
    ++i;
  return i - begin;
}

/// How a call is cut into tasks: rows into chunks, each kv head's query heads into parts, and with few rows their
/// past into splits.
struct Cut {
  std::size_t chunk_rows = 1, chunks = 1;
  std::size_t part_heads = 1, parts = 1;
  std::size_t splits = 1;
};

/// What a call is cut by.
struct CutShape {
  std::size_t rows = 1, kv_heads = 1, group = 1, v_stride = 16;
  std::size_t splits = 1;  ///< of the longest past; 1 when they may not be shared out
};

/// Large chunks re-use what they read; small ones keep every thread busy.
Cut cut_tasks(const CutShape& shape, std::size_t threads) {
  const std::size_t pairs = std::min(kAttentionPairs, kAttentionScratch / shape.v_stride);
  Cut cut;
  cut.part_heads = std::min(shape.group, pairs);
  std::size_t units = shape.kv_heads * ((shape.group + cut.part_heads - 1) / cut.part_heads);
  if (threads > 1) {
    if (shape.rows * units < 4 * threads) cut.splits = shape.splits;
    units *= cut.splits;
    if (shape.rows * units < threads)
      cut.part_heads = std::max<std::size_t>(1, cut.part_heads * shape.rows * units / threads);
    cut.chunk_rows = std::max<std::size_t>(1, shape.rows * units / (4 * threads));
  } else {
    cut.chunk_rows = shape.rows;
  }
  cut.chunk_rows = std::min({cut.chunk_rows, shape.rows, pairs / cut.part_heads});
  cut.chunks = (shape.rows + cut.chunk_rows - 1) / cut.chunk_rows;
  cut.parts = (shape.group + cut.part_heads - 1) / cut.part_heads;
  return cut;
}

constexpr KvSplits kSplits;

std::size_t record_floats(const KvLayout& layout) { return kAttentionPartHead + layout.v_stride(); }

}  // namespace

void check_attention_shape(const KvLayout& layout, std::size_t heads, std::string_view what) {
  const auto refuse = [&](std::string_view field, std::size_t got, std::string_view expected) {
    throw base::Error(base::ErrorCode::unsupported,
                      base::cat(what, ": attention ", field, ": expected ", expected, ", got ", got));
  };
  const std::string limit = base::cat("1 to ", kMaxAttentionDim);
  if (layout.k_dim == 0 || layout.k_dim > kMaxAttentionDim) refuse("key dimension of a head", layout.k_dim, limit);
  if (layout.v_dim == 0 || layout.v_dim > kMaxAttentionDim) refuse("value dimension of a head", layout.v_dim, limit);
  if (layout.kv_heads == 0) refuse("key-value heads", layout.kv_heads, "at least 1");
  if (heads == 0 || heads % layout.kv_heads != 0)
    refuse("heads", heads, base::cat("a multiple of the ", layout.kv_heads, " key-value heads"));
}

void Ops::store_kv(const KvLayout& layout, std::size_t layer_offset, std::span<const RowRef> rows,
                   std::span<const KvView> sequences, const float* k, std::size_t ldk, const float* v,
                   std::size_t ldv) const {
  const auto store = [&](std::size_t head, std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end;) {
      std::byte* block = sequences[rows[row].sequence].blocks[rows[row].position / kKvBlock];
      StoreRun run;
      run.keys = block + key_offset(layout, layer_offset, head);
      run.values = block + value_offset(layout, layer_offset, head);
      run.token = rows[row].position % kKvBlock;
      run.count = same_block(rows, row, end);
      run.k = k + row * ldk + head * layout.k_dim;
      run.ldk = ldk;
      run.v = v + row * ldv + head * layout.v_dim;
      run.ldv = ldv;
      if (layout.type == KvType::q8) {
        run.key_scales = reinterpret_cast<std::uint16_t*>(block + key_scales_offset(layout, layer_offset, head));
        run.value_scales = reinterpret_cast<float*>(block + value_scales_offset(layout, layer_offset, head));
        store_run_q8(layout, run);
      } else {
        layout.type == KvType::f32 ? store_run_f32(layout, run) : store_run_bf16(layout, run);
      }
      row += run.count;
    }
  };
  // 16 rows: what the transposing of keys holds in cache at once.
  const std::size_t chunks = (rows.size() + 15) / 16;
  const std::size_t elements = rows.size() * layout.kv_heads * (layout.k_dim + layout.v_dim);
  const auto task = [&](std::size_t i) {
    const std::size_t begin = i / layout.kv_heads * 16;
    store(i % layout.kv_heads, begin, std::min(rows.size(), begin + 16));
  };
  if (elements >= 16384) return pool_->run(chunks * layout.kv_heads, task);
  for (std::size_t i = 0; i < chunks * layout.kv_heads; ++i) task(i);
}

void Ops::store_latent(const KvLayout& layout, std::size_t layer_offset, std::span<const RowRef> rows,
                       std::span<const KvView> sequences, const float* latent, std::size_t ld) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::byte* block = sequences[rows[i].sequence].blocks[rows[i].position / kKvBlock] + layer_offset;
    const std::size_t token = rows[i].position % kKvBlock, first = token * layout.k_stride();
    if (layout.type == KvType::f32) {
      store_latent_row(layout, latent + i * ld, reinterpret_cast<float*>(block) + first);
    } else if (layout.type == KvType::q8) {
      auto* out = reinterpret_cast<std::int8_t*>(block) + first;
      quantise_groups(latent + i * ld, layout.k_dim, kLatentGroup, out, 1,
                      reinterpret_cast<std::uint16_t*>(block + layout.key_bytes()) + token * layout.groups(), 1);
      std::fill(out + layout.k_dim, out + layout.k_stride(), std::int8_t{0});
    } else {
      store_latent_row(layout, latent + i * ld, reinterpret_cast<std::uint16_t*>(block) + first);
    }
  }
}

std::size_t Ops::attention_parts(const KvLayout& layout, std::size_t heads, std::size_t rows, std::size_t tokens) {
  const auto last = static_cast<std::uint32_t>(std::min<std::size_t>(std::max<std::size_t>(tokens, 1) - 1, UINT32_MAX));
  return rows * heads * kSplits.count(last) * record_floats(layout);
}

void Ops::attention(const KvLayout& layout, std::size_t layer_offset, std::span<const RowRef> rows,
                    std::span<const KvView> sequences, std::size_t heads, const float* q, std::size_t ldq, float scale,
                    float* out, std::size_t ldo, std::span<float> parts) const {
  if (rows.empty()) return;
  const bool latent = layout.form == KvForm::latent;
  const std::size_t q_stride = latent ? layout.k_stride() : layout.k_dim;
  const std::size_t group = heads / layout.kv_heads;
  std::size_t work = 0;
  std::uint32_t last = 0;
  for (const RowRef& row : rows) {
    work += (std::size_t{row.position} + 1) * heads * (layout.k_dim + layout.v_dim);
    last = std::max(last, row.position);
  }
  const bool serial = work < kSerialWork || pool_->size() == 1;
  CutShape shape{.rows = rows.size(), .kv_heads = layout.kv_heads, .group = group, .v_stride = layout.v_stride()};
  if (attention_parts(layout, heads, rows.size(), std::size_t{last} + 1) <= parts.size())
    shape.splits = kSplits.count(last);
  const Cut cut = cut_tasks(shape, serial ? 1 : pool_->size());
  const std::size_t part_head = cut.splits * record_floats(layout);

  const bool halves = layout.type == KvType::bf16 && numerics_ == Numerics::fast && table_->attention_bf16 != nullptr;
  const auto kernel = latent ? table_->rows.attention_latent : halves ? table_->attention_bf16 : table_->rows.attention;
  const auto run_task = [&](std::size_t index) {
    const std::size_t split = index % cut.splits;
    // Later rows first: in a prompt they see the most, and a long task begun last leaves the others waiting.
    const std::size_t unit = index / cut.splits;
    const std::size_t chunk = cut.chunks - 1 - unit / (layout.kv_heads * cut.parts);
    const std::size_t part = unit / layout.kv_heads % cut.parts;
    const std::size_t kv_head = unit % layout.kv_heads;
    const std::size_t head = kv_head * group + part * cut.part_heads;
    AttentionTask task;
    task.key_offset = latent ? layer_offset : key_offset(layout, layer_offset, kv_head);
    task.value_offset = latent ? layer_offset : value_offset(layout, layer_offset, kv_head);
    task.k_dim = q_stride;
    task.v_dim = layout.v_dim;
    task.v_stride = layout.v_stride();
    task.type = layout.type;
    if (layout.type == KvType::q8) {
      task.key_scales = key_scales_offset(layout, layer_offset, kv_head);
      task.value_scales = value_scales_offset(layout, layer_offset, kv_head);
    }
    task.heads = std::min(cut.part_heads, group - part * cut.part_heads);
    task.ldq = ldq;
    task.scale = scale;
    task.ldo = ldo;
    task.split_ends = kSplits.ends();
    task.first_split = split;
    task.last_split = cut.splits > 1 ? split + 1 : KvSplits::kMost;
    task.part_head = part_head;
    task.part_row = heads * part_head;
    std::uint32_t positions[kAttentionPairs];
    const std::size_t end = std::min(rows.size(), (chunk + 1) * cut.chunk_rows);
    for (std::size_t row = chunk * cut.chunk_rows; row < end; row += task.rows) {
      task.rows = same_sequence(rows, row, end);
      for (std::size_t i = 0; i < task.rows; ++i) positions[i] = rows[row + i].position;
      task.blocks = sequences[rows[row].sequence].blocks;
      task.positions = positions;
      task.q = q + row * ldq + head * q_stride;
      task.out = out + row * ldo + head * layout.v_dim;
      if (cut.splits > 1) task.parts = parts.data() + row * task.part_row + head * part_head;
      kernel(task);
    }
  };
  const std::size_t tasks = cut.chunks * layout.kv_heads * cut.parts * cut.splits;
  if (serial) {
    for (std::size_t i = 0; i < tasks; ++i) run_task(i);
  } else {
    pool_->run(tasks, run_task);
  }
  if (cut.splits > 1) merge_parts(layout, rows, heads, cut.splits, parts.data(), out, ldo);
}

void Ops::merge_parts(const KvLayout& layout, std::span<const RowRef> rows, std::size_t heads, std::size_t splits,
                      float* parts, float* out, std::size_t ldo) const {
  const std::size_t part_head = splits * record_floats(layout);
  const auto merge = [&](std::size_t pair) {
    const std::size_t row = pair / heads, head = pair % heads;
    table_->rows.attention_merge(parts + pair * part_head, kSplits.count(rows[row].position), layout.v_dim,
                                 layout.v_stride(), out + row * ldo + head * layout.v_dim);
  };
  const std::size_t pairs = rows.size() * heads;
  if (pairs * part_head > kSerialWork) return pool_->run(pairs, merge);
  for (std::size_t i = 0; i < pairs; ++i) merge(i);
}

}  // namespace minke::kernels
