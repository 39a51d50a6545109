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
  std::unique_ptr<ActivationGroup[], Free> groups;  // [max_rows][max_groups], interleaved as kActivationRows says
  // [max_rows][whole blocks][kBlockLines], interleaved likewise, and kActivationRows lines that tiles read beyond the
  // last row. Memory that no kernel writes to is never the process's.
  std::unique_ptr<ActivationLine[], Free> lines;

  // Of the last prepare.
  RowBlock block;  // the first of them
  std::size_t cols = 0, ldx = 0;
  bool quantised = false;
  bool in_blocks = false;  // also as lines

  /// The first line of block b of rows that start at `row` and are `stride` (at most 16) many.
  ActivationLine* lines_at(std::size_t row, std::size_t b = 0, std::size_t stride = 0) const {
    return lines.get() + (row * (cols / kActivationBlock) + b * stride) * kBlockLines;
  }
};

}  // namespace minke::kernels
