// SHA-256 (FIPS 180-4): names for what must be recognised again, and cannot be forged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace minke::base {

using Digest = std::array<std::byte, 32>;

/// Fed in pieces; the digest is of all of them together. Allocates nothing.
class Sha256 {
 public:
  Sha256() noexcept;
  Sha256& add(std::span<const std::byte> bytes) noexcept;
  Sha256& add(std::string_view text) noexcept { return add(std::as_bytes(std::span(text.data(), text.size()))); }
  /// A number as eight bytes, least first.
  Sha256& add_number(std::uint64_t number) noexcept;
  /// Ends it; nothing may be added after.
  Digest finish() noexcept;

 private:
  void compress(const std::byte* block) noexcept;

  std::array<std::uint32_t, 8> state_;
  std::array<std::byte, 64> pending_{};
  std::uint64_t bytes_ = 0;
};

}  // namespace minke::base
