#include "kernels/activations.h"

#include <cstdlib>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/codec.h"

namespace minke::kernels {

void Activations::Impl::Free::operator()(ActivationGroup* p) const noexcept { std::free(p); }

Activations::Activations(std::size_t rows, std::size_t cols) : impl_(std::make_unique<Impl>()) {
  impl_->max_rows = rows;
  impl_->max_groups = cols / kGroupInputs + (cols % kGroupInputs != 0 ? 1 : 0);
  const std::uint64_t count = base::checked_mul(impl_->max_rows, impl_->max_groups, "activations");
  const std::uint64_t bytes = base::checked_mul(count == 0 ? 1 : count, sizeof(ActivationGroup), "activations");
  impl_->groups.reset(
      static_cast<ActivationGroup*>(std::aligned_alloc(alignof(ActivationGroup), static_cast<std::size_t>(bytes))));
  if (impl_->groups == nullptr)
    throw base::Error(base::ErrorCode::out_of_memory,
                      base::cat("could not get ", bytes, " bytes for ", rows, " rows of ", cols, " activations"),
                      "use a smaller context or batch");
}

Activations::Activations() = default;
Activations::~Activations() = default;
Activations::Activations(Activations&&) noexcept = default;
Activations& Activations::operator=(Activations&&) noexcept = default;

}  // namespace minke::kernels
