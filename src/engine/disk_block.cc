#include "engine/disk_block.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/xxh64.h"

namespace minke::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "files are written without byte swapping");

constexpr std::array<char, 8> kMagic = {'M', 'I', 'N', 'K', 'E', 'K', 'V', '\0'};
/// Raised whenever what lies in a block changes: its layout, or the arithmetic that computes it.
/// 2: BF16 keys and values in pairs.
constexpr std::uint32_t kVersion = 2;

/// The file's first bytes, as they lie there. Every byte belongs to a field.
struct Fields {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t header_bytes = kDiskHeader;
  std::uint64_t payload_bytes = 0;
  std::uint64_t checksum = 0;
  base::Digest fingerprint{}, realm{}, parent{}, name{};
  std::uint32_t token_count = kernels::kKvBlock;
  std::uint32_t zero = 0;
  std::array<TokenId, kernels::kKvBlock> tokens{};
  std::array<std::byte, 88> zeros{};
};
static_assert(sizeof(Fields) == kDiskHeader && std::is_trivially_copyable_v<Fields>);
static_assert(std::has_unique_object_representations_v<Fields>);

/// Of the whole file, its own field as zeros.
std::uint64_t checksum(Fields fields, std::span<const std::byte> payload) noexcept {
  fields.checksum = 0;
  base::Xxh64 hash;
  hash.update(std::as_bytes(std::span(&fields, 1)));
  hash.update(payload);
  return hash.digest();
}

}  // namespace

DiskHeader disk_header(const BlockKey& key, std::span<const std::byte> payload) noexcept {
  Fields fields;
  fields.payload_bytes = payload.size();
  fields.fingerprint = key.fingerprint;
  fields.realm = key.realm;
  fields.parent = key.parent;
  fields.name = key.name;
  fields.tokens = key.tokens;
  fields.checksum = checksum(fields, payload);
  return std::bit_cast<DiskHeader>(fields);
}

std::string_view check_disk_block(const DiskHeader& header, std::span<const std::byte> payload,
                                  const BlockKey& key) noexcept {
  const auto fields = std::bit_cast<Fields>(header);
  if (fields.magic != kMagic) return "is no cached block";
  if (fields.version != kVersion || fields.header_bytes != kDiskHeader) return "is of another version";
  if (fields.payload_bytes != payload.size()) return "has another length than this model's blocks";
  if (fields.checksum != checksum(fields, payload)) return "is damaged: its checksum is another";
  if (fields.fingerprint != key.fingerprint) return "is another model's";
  if (fields.realm != key.realm) return "is another tenant's";
  if (fields.parent != key.parent || fields.name != key.name) return "is another block";
  if (fields.token_count != kernels::kKvBlock || fields.zero != 0 || fields.tokens != key.tokens)
    return "holds other tokens";
  if (fields.zeros != std::array<std::byte, 88>{}) return "has something where zeros belong";
  return {};
}

}  // namespace minke::engine
