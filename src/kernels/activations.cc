#include "kernels/activations.h"

#include <cstdlib>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/codec.h"

namespace minke::kernels {

namespace {

template <typename T>
T* allocate(std::size_t rows, std::size_t cols, std::uint64_t count) {
  const std::uint64_t bytes = base::checked_mul(count == 0 ? 1 : count, sizeof(T), "activations");
  const std::uint64_t whole_lines = base::checked_add(bytes, 63, "activations") / 64 * 64;
  void* const memory = std::aligned_alloc(64, static_cast<std::size_t>(whole_lines));
  if (memory == nullptr)
    throw base::Error(base::ErrorCode::out_of_memory,
                      base::cat("could not get ", bytes, " bytes for ", rows, " rows of ", cols, " activations"),
                      "use a smaller context or batch");
  return static_cast<T*>(memory);
}

}  // namespace

void Activations::Impl::Free::operator()(void* p) const noexcept { std::free(p); }

Activations::Activations(std::size_t rows, std::size_t cols) : impl_(std::make_unique<Impl>()) {
  impl_->max_rows = rows;
  impl_->max_groups = cols / kGroupInputs + (cols % kGroupInputs != 0 ? 1 : 0);
  const std::uint64_t groups = base::checked_mul(rows, impl_->max_groups, "activations");
  impl_->groups.reset(allocate<ActivationGroup>(rows, cols, base::checked_add(groups, kActivationRows, "activations")));
  const std::uint64_t blocks = base::checked_mul(rows, cols / kActivationBlock, "activations");
  const std::uint64_t lines = base::checked_mul(blocks, kBlockLines, "activations");
  impl_->lines.reset(allocate<ActivationLine>(rows, cols, base::checked_add(lines, kActivationRows, "activations")));
  const std::uint64_t all_blocks = cols / kActivationBlock + (cols % kActivationBlock != 0 ? 1 : 0);
  const std::uint64_t halves =
      base::checked_mul(base::checked_mul(rows, all_blocks, "activations"), kHalfLines, "activations");
  impl_->halves.reset(allocate<ActivationLine>(rows, cols, base::checked_add(halves, kActivationRows, "activations")));
  impl_->tails.reset(allocate<BlockTail>(rows, cols, base::checked_add(blocks, kActivationRows, "activations")));
}

Activations::Activations() = default;
Activations::~Activations() = default;
Activations::Activations(Activations&&) noexcept = default;
Activations& Activations::operator=(Activations&&) noexcept = default;

}  // namespace minke::kernels
