// A block of the cache as a file: its header, and what makes it the one that is looked for (docs/formats.md, "Cached
// blocks").
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/sha256.h"
#include "engine/request.h"
#include "kernels/kv_layout.h"

namespace minke::engine {

/// What a file must say.
struct BlockKey {
  base::Digest fingerprint{};  ///< engine/fingerprint.h
  base::Digest realm{};        ///< whose it is
  base::Digest parent{};       ///< its predecessor's name; zeros: it is the first
  base::Digest name{};
  std::array<TokenId, kernels::kKvBlock> tokens{};
};

inline constexpr std::size_t kDiskHeader = 512;
using DiskHeader = std::array<std::byte, kDiskHeader>;

DiskHeader disk_header(const BlockKey& key, std::span<const std::byte> payload) noexcept;

/// Empty when these are the block of `key`, whole; else what is wrong, as the end of a sentence that begins with the
/// file's name.
std::string_view check_disk_block(const DiskHeader& header, std::span<const std::byte> payload,
                                  const BlockKey& key) noexcept;

}  // namespace minke::engine
