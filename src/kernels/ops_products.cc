// Sets of products as one parallel stage: how they are cut into tasks, and what is fused onto them.
#include <algorithm>
#include <cassert>

#include "kernels/activations.h"
#include "kernels/codec.h"
#include "kernels/kernel_table.h"
#include "kernels/node_split.h"
#include "kernels/ops.h"

namespace minke::kernels {
namespace {

/// Multiply-adds of a task at least: about a microsecond, large against handing out an index.
constexpr std::size_t kWorkPerTask = std::size_t{1} << 15;
/// Tasks per thread at most, so that threads that start late or run slower get fewer.
constexpr std::size_t kTasksPerThread = 16;
/// With many rows: whoever has more outputs of them to compute reads their activations less often from beyond the
/// second-level cache. Prompts of 512 and 2,048 tokens of a 1.5B on tiles: 4 to 6 % faster than with 16.
constexpr std::size_t kTasksOfManyRows = 4, kManyRows = 128;
/// Row blocks that share a decoded tile: 128 rows.
constexpr std::size_t kRowBlocksTogether = 8;

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

const PackedMatrix& weight_of(const Product& product) { return *product.weight; }
const PackedMatrix& weight_of(const GatedProduct& product) { return *product.gate; }

/// How a memory node's part of a product is cut: runs of tiles, and with few tiles and many rows also runs of row
/// blocks.
struct Cut {
  std::size_t tiles_per_task = 1, tile_tasks = 0;
  std::size_t rows_per_task = 1, row_tasks = 0;
};

/// What every product of a stage is cut by.
struct CutAim {
  std::size_t work = 0;              ///< multiply-adds of a task
  std::size_t least_row_blocks = 1;  ///< of a task: fewer decode the same weights more often
  std::size_t nodes = 1;
  std::size_t tiles_together = kTilesTogether;
};

Cut cut_product(const PackedMatrix& w, std::size_t rows, std::size_t passes, const CutAim& aim) {
  Cut cut;
  if (rows == 0) return cut;
  const std::size_t runs = divide_up(node_tiles(w.rows(), aim.nodes), aim.tiles_together);
  const std::size_t run_work = std::max<std::size_t>(1, aim.tiles_together * kTileOutputs * w.cols() * rows * passes);
  const std::size_t runs_per_task = std::clamp<std::size_t>(aim.work / run_work, 1, runs);
  cut.tiles_per_task = runs_per_task * aim.tiles_together;
  cut.tile_tasks = divide_up(runs, runs_per_task);
  const std::size_t row_blocks = divide_up(rows, kActivationRows);
  const std::size_t most_parts = divide_up(row_blocks, aim.least_row_blocks);
  const std::size_t row_parts = std::clamp<std::size_t>(run_work / aim.work, 1, most_parts);
  cut.rows_per_task = divide_up(row_blocks, row_parts) * kActivationRows;
  cut.row_tasks = divide_up(rows, cut.rows_per_task);
  return cut;
}

}  // namespace

/// Cuts every product into tasks of about equal work and runs task(product, tile, tiles, row, rows) for each. How it
/// is cut changes no bit: a task computes whole outputs.
template <typename AnyProduct, typename Task>
void Ops::run_products(std::span<AnyProduct> products, std::size_t passes, std::size_t tiles_together,
                       const Task& task) const {
  std::size_t total = 0, pairs = 0, most_rows = 0;
  for (const AnyProduct& p : products) {
    if (p.block.rows == 0) continue;
    total += weight_of(p).rows() * weight_of(p).cols() * p.block.rows * passes;
    pairs += divide_up(weight_of(p).rows(), kGroupInputs);
    most_rows = std::max(most_rows, p.block.rows);
  }
  const std::size_t tasks_per_thread = most_rows >= kManyRows ? kTasksOfManyRows : kTasksPerThread;
  const CutAim aim{.work = std::max(kWorkPerTask, total / (pool_->size() * tasks_per_thread)),
                   .least_row_blocks = pairs < 2 * pool_->size() ? 1 : kRowBlocksTogether,
                   .nodes = pool_->nodes(),
                   .tiles_together = tiles_together};
  std::size_t tasks = 0;
  for (AnyProduct& p : products) {
    p.first_task = tasks;
    const Cut cut = cut_product(weight_of(p), p.block.rows, passes, aim);
    tasks += cut.tile_tasks * cut.row_tasks;
  }
  // Tasks of node 0, of all products, then those of node 1; each node's are numbered alike.
  const auto run = [&](std::size_t of_all) {
    const std::size_t node = of_all / tasks, index = of_all % tasks;
    // The last product that begins at or before this task; those without rows begin where the next one does.
    const auto after = std::upper_bound(products.begin(), products.end(), index,
                                        [](std::size_t i, const AnyProduct& p) { return i < p.first_task; });
    const AnyProduct& p = *(after - 1);
    const Cut cut = cut_product(weight_of(p), p.block.rows, passes, aim);
    const std::size_t i = index - p.first_task;
    const std::size_t each = node_tiles(weight_of(p).rows(), aim.nodes);
    const std::size_t tile = i / cut.row_tasks * cut.tiles_per_task, first = node * each + tile;
    // The last node's part may be short, or empty.
    if (first >= divide_up(weight_of(p).rows(), kTileOutputs)) return;
    task(p, first, std::min(cut.tiles_per_task, each - tile), i % cut.row_tasks * cut.rows_per_task, cut.rows_per_task);
  };
  if (total > 2 * kWorkPerTask) return pool_->run_by_node(tasks, run);
  for (std::size_t i = 0; i < aim.nodes * tasks; ++i) run(i);
}

void Ops::linear(std::span<Product> products) const {
  run_products(products, 1, kTilesTogether,
               [&](const Product& p, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows) {
                 assert(p.weight->cols() == p.x->impl_->cols && p.ldy >= p.weight->rows());
                 linear_task(p, tile, tiles, row, rows);
               });
}

void Ops::begin(const float* x, std::size_t rows, std::size_t cols, std::size_t ldx, Activations& out,
                ActivationForms forms) const {
  Activations::Impl& a = *out.impl_;
  assert(rows <= a.max_rows && divide_up(cols, kGroupInputs) <= a.max_groups && ldx >= cols);
  set_up({.x = x, .first = 0, .rows = rows}, cols, ldx, out, forms);
}

void Ops::gated(std::span<GatedProduct> products) const {
  // A task may quantise its outputs when they are whole groups, or blocks where those are wanted.
  const bool in_blocks = !products.empty() && products.front().out->impl_->in_blocks;
  const bool at_once = !in_blocks || pool_->nodes() == 1;
  run_products(products, 2, in_blocks && at_once ? kActivationBlock / kTileOutputs : kTilesTogether,
               [&](const GatedProduct& p, std::size_t tile, std::size_t tiles, std::size_t row, std::size_t rows) {
                 rows = std::min(rows, p.block.rows - row);
                 gated_task(p, tile, tiles, row, rows);
                 const std::size_t begin = tile * kTileOutputs;
                 if (at_once)
                   quantise_gated(p, row, rows, begin, std::min(p.gate->rows(), begin + tiles * kTileOutputs));
               });
  if (at_once) return;
  pool_->run(products.size(), [&](std::size_t i) {
    quantise_gated(products[i], 0, products[i].block.rows, 0, products[i].gate->rows());
  });
}

void Ops::gated_task(const GatedProduct& p, std::size_t tile, std::size_t tiles, std::size_t row,
                     std::size_t rows) const {
  assert(p.gate->rows() == p.up->rows() && p.gate->rows() == p.out->impl_->cols);
  // Both halves of some tiles at a time, in buffers that stay in the second-level cache: only what comes of them goes
  // to memory. The fewer the rows the more tiles, so that weights are read in long runs.
  constexpr std::size_t kRows = 512, kTiles = 2 * kTilesTogether, kValues = kRows * kTiles * kTileOutputs;
  alignas(64) float gate[kValues], up[kValues];
  const std::size_t last = std::min(tile + tiles, divide_up(p.gate->rows(), kTileOutputs));
  for (std::size_t first = row; first < row + rows; first += kRows) {
    const std::size_t count = std::min(kRows, row + rows - first);
    const std::size_t some = std::min(last - tile, kValues / count / kTileOutputs), width = some * kTileOutputs;
    for (std::size_t t = tile; t < last; t += some) {
      const std::size_t now = std::min(some, last - t), begin = t * kTileOutputs;
      const std::size_t outputs = std::min(p.gate->rows() - begin, now * kTileOutputs);
      Product half{.x = p.x, .block = p.block, .weight = p.gate, .bias = p.gate_bias};
      linear_task(half, t, now, first, count, gate, width);
      half.weight = p.up;
      half.bias = p.up_bias;
      linear_task(half, t, now, first, count, up, width);
      for (std::size_t r = 0; r < count; ++r)
        table_->rows.swiglu(gate + r * width, up + r * width, outputs, p.y + (first + r) * p.ldy + begin);
    }
  }
}

void Ops::quantise_gated(const GatedProduct& p, std::size_t row, std::size_t rows, std::size_t begin,
                         std::size_t end) const {
  const RowBlock block{.x = p.y, .first = p.out_first, .rows = p.block.rows};
  if (p.out->impl_->prepared()) quantise(block, p.ldy, row, rows, begin, end, *p.out);
}

void Ops::gather(const Activations& from, std::span<const RowBlock> blocks, const std::uint32_t* sources, bool floats,
                 float* x, Activations& out) const {
  const Activations::Impl& a = *from.impl_;
  const std::size_t rows = blocks.empty() ? 0 : blocks.back().first + blocks.back().rows;
  begin(x, rows, a.cols, a.cols, out, {.groups = a.in_groups, .blocks = a.in_blocks, .halves = a.in_halves});
  const std::size_t groups = divide_up(a.cols, kGroupInputs);
  const auto one_block = [&](std::size_t index) {
    const RowBlock& block = blocks[index];
    ActivationGroup* to = out.impl_->groups.get() + block.first * groups;
    for (std::size_t r = 0; r < block.rows; ++r) {
      const std::size_t source = sources[block.first + r];
      if (floats || numerics_ != Numerics::fast)
        std::copy_n(a.block.x + source * a.ldx, a.cols, x + (block.first + r) * a.cols);
      const std::size_t source_first = source / kActivationRows * kActivationRows;
      const std::size_t source_stride = std::min(kActivationRows, a.block.rows - source_first);
      const ActivationGroup* in = a.groups.get() + source_first * groups + (source - source_first);
      const std::size_t first = r / kActivationRows * kActivationRows;
      const std::size_t stride = std::min(kActivationRows, block.rows - first);
      ActivationGroup* put = to + first * groups + (r - first);
      for (std::size_t g = 0; a.in_groups && g < groups; ++g) put[g * stride] = in[g * source_stride];
      for (std::size_t g = 0; a.in_halves && g < groups; ++g) {
        const std::size_t b = g / kHalfLines, l = g % kHalfLines;
        out.impl_->halves_at(block.first, block.rows, first, b)[l * stride + (r - first)] =
            a.halves_at(0, a.block.rows, source_first, b)[l * source_stride + (source - source_first)];
      }
      if (!a.in_blocks) continue;
      for (std::size_t b = 0; b < a.blocks(); ++b) {
        const ActivationLine* line = a.lines_at(0, a.block.rows, source_first, b) + (source - source_first);
        ActivationLine* to_line = out.impl_->lines_at(block.first, block.rows, first, b) + (r - first);
        for (std::size_t l = 0; l < kBlockLines; ++l) to_line[l * stride] = line[l * source_stride];
        *out.impl_->tail_at(block.first, block.rows, r, b) = *a.tail_at(0, a.block.rows, source, b);
      }
    }
  };
  pool_->run(blocks.size(), one_block);
}

}  // namespace minke::kernels
