// XXH64: a fast checksum that finds damage in files. It is no protection against forgery.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace minke::base {

/// The 64-bit hash of xxHash (specification: xxhash_spec.md of the xxHash project), fed in pieces.
class Xxh64 {
 public:
  explicit Xxh64(std::uint64_t seed = 0) noexcept;

  void update(std::span<const std::byte> bytes) noexcept;
  /// Of everything so far; more may follow.
  std::uint64_t digest() const noexcept;

 private:
  static constexpr std::size_t kStripe = 32;

  void stripe(const std::byte* at) noexcept;

  std::uint64_t lanes_[4];
  std::uint64_t seed_, length_ = 0;
  std::byte pending_[kStripe] = {};  // the last length_ % 32 bytes
};

std::uint64_t xxh64(std::span<const std::byte> bytes) noexcept;

}  // namespace minke::base
