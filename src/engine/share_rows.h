// How a step's prompt rows are shared out among the prompts that are being read.
#pragma once

#include <cstddef>
#include <span>

namespace minke::engine {

/// rows[i] of pending[i] (both in order of admission), at most `budget` together. Half goes to the oldest, so that
/// every prompt gets through; the rest to the one with the least left, then the next, so that short prompts do not wait
/// for long ones; what is over, in order of admission.
void share_rows(std::span<const std::size_t> pending, std::size_t budget, std::span<std::size_t> rows) noexcept;

}  // namespace minke::engine
