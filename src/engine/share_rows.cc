#include "engine/share_rows.h"

#include <algorithm>

namespace minke::engine {

void share_rows(std::span<const std::size_t> pending, std::size_t budget, std::span<std::size_t> rows) noexcept {
  std::fill(rows.begin(), rows.end(), std::size_t{0});
  const auto give = [&](std::size_t i, std::size_t most) {
    const std::size_t count = std::min({pending[i] - rows[i], most, budget});
    rows[i] += count;
    budget -= count;
  };
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (pending[i] > 0) {
      give(i, (budget + 1) / 2);
      break;
    }
  // Selection by repeated search: a few prompts at most are under way.
  while (budget > 0) {
    std::size_t least = pending.size();
    for (std::size_t i = 0; i < pending.size(); ++i)
      if (rows[i] < pending[i] && (least == pending.size() || pending[i] - rows[i] < pending[least] - rows[least]))
        least = i;
    if (least == pending.size()) return;
    give(least, budget);
  }
}

}  // namespace minke::engine
