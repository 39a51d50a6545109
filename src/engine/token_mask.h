// Rows of bits, one for each token: those that may come.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/sampling.h"

namespace minke::engine {

inline bool allows(std::span<const std::uint32_t> allowed, std::int32_t token) noexcept {
  const auto i = static_cast<std::size_t>(token);
  return i / 32 < allowed.size() && (allowed[i / 32] >> (i % 32) & 1) != 0;
}

/// Whether nothing but some of `tokens` (each there once) may come.
inline bool allows_only(std::span<const std::uint32_t> allowed, std::span<const std::int32_t> tokens) noexcept {
  std::size_t bits = 0, among = 0;
  for (const std::uint32_t word : allowed) bits += static_cast<std::size_t>(std::popcount(word));
  if (bits > tokens.size()) return false;
  for (const std::int32_t token : tokens) among += allows(allowed, token) ? 1 : 0;
  return bits <= among;
}

/// Tokens that may not come, but for `always` (-1: none), get kForbidden.
inline void forbid_others(std::span<const std::uint32_t> allowed, std::int32_t always,
                          std::span<float> logits) noexcept {
  const float kept = always >= 0 ? logits[static_cast<std::size_t>(always)] : 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += 32) {
    const std::uint32_t word = begin / 32 < allowed.size() ? allowed[begin / 32] : 0;
    if (word == ~std::uint32_t{0}) continue;
    const std::size_t count = logits.size() - begin < 32 ? logits.size() - begin : 32;
    for (std::size_t i = 0; i < count; ++i)
      if ((word >> i & 1) == 0) logits[begin + i] = kForbidden;
  }
  if (always >= 0) logits[static_cast<std::size_t>(always)] = kept;
}

}  // namespace minke::engine
