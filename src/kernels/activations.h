// What Activations holds between Ops::prepare and Ops::linear.
#pragma once

#include <memory>

#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace minke::kernels {

struct Activations::Impl {
  struct Free {
    void operator()(void* p) const noexcept;
  };

  std::size_t max_rows = 0, max_groups = 0;
  // Both with kActivationRows more, which matrix tiles read beyond the last row. Memory that no kernel writes to is
  // never the process's.
  std::unique_ptr<ActivationGroup[], Free> groups;  // [max_rows][max_groups], interleaved as kActivationRows says
  // Of each block of rows [whole blocks][rows][kBlockLines], interleaved likewise.
  std::unique_ptr<ActivationLine[], Free> lines;
  std::unique_ptr<BlockTail[], Free> tails;        // likewise, [whole blocks][rows]
  std::unique_ptr<ActivationLine[], Free> halves;  // as lines, of whole and part blocks

  // Of the last prepare.
  RowBlock block;  // the first of them
  std::size_t cols = 0, ldx = 0;
  bool in_groups = false, in_blocks = false, in_halves = false;  // of these forms, those that are filled

  bool prepared() const { return in_groups || in_blocks || in_halves; }

  std::size_t blocks() const { return cols / kActivationBlock; }
  /// The first line of input block b, of the 16 rows from `row` on (a multiple of 16) of a block of `rows` rows.
  ActivationLine* lines_at(std::size_t first, std::size_t rows, std::size_t row = 0, std::size_t b = 0) const {
    return lines.get() + (first * blocks() + b * rows + row) * kBlockLines;
  }
  /// As lines_at.
  ActivationLine* halves_at(std::size_t first, std::size_t rows, std::size_t row = 0, std::size_t b = 0) const {
    const std::size_t half_blocks = (cols + kActivationBlock - 1) / kActivationBlock;
    return halves.get() + (first * half_blocks + b * rows + row) * kHalfLines;
  }
  /// The tail of row `row`, whichever it is.
  BlockTail* tail_at(std::size_t first, std::size_t rows, std::size_t row = 0, std::size_t b = 0) const {
    return tails.get() + first * blocks() + b * rows + row;
  }
};

}  // namespace minke::kernels
