// Tiled files (.minke): a checkpoint's weights as the kernels read them, so that a start is a map, with the source's
// own configuration and tokenizer. docs/formats.md has the form byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/dtype.h"

namespace minke::formats {

/// How a tensor's data lie.
enum class TensorLayout : std::uint8_t {
  plain = 0,  ///< F32, row after row
  tiles = 1,  ///< per matrix, tiles of 16 outputs (kernels/codec.h); another arrangement would get another number
};

struct TiledTensor {
  std::string name;
  DType dtype = DType::f32;
  TensorLayout layout = TensorLayout::plain;
  std::vector<std::uint64_t> shape;  ///< outermost first: [size], [rows, cols] or [count, rows, cols]
  std::uint64_t offset = 0;          ///< in the file
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  ///< XXH64 of the data
};

/// A file of the source, verbatim.
struct TiledText {
  std::string name;  ///< "config.json", ...; of a GGUF "metadata.gguf": its header and metadata, without tensors
  std::string_view text;
};

/// What the weights were before: which configuration and which names of tensors the file has.
enum class TiledSource : std::uint32_t { safetensors = 0, gguf = 1 };

struct TiledHeader {
  TiledSource source = TiledSource::safetensors;
  std::vector<TiledText> texts;
  std::vector<TiledTensor> tensors;
  std::uint64_t file_bytes = 0;

  /// The text of that name; empty when it is not there.
  std::string_view text(std::string_view name) const noexcept;
};

inline constexpr std::string_view kTiledMagic = {"MINKE\r\n\x1a", 8};
inline constexpr std::uint32_t kTiledVersion = 1;
/// Matrices begin on pages, other tensors on cache lines.
inline constexpr std::uint64_t kTiledMatrixAlign = 4096, kTiledVectorAlign = 64;

/// The names that a text may have, and the most bytes of each.
struct TiledTextKind {
  std::string_view name;
  std::uint64_t max_bytes;
};
std::span<const TiledTextKind> tiled_texts(TiledSource source) noexcept;

bool has_tiled_magic(std::span<const std::byte> data) noexcept;

/// Parses and checks a header. `data` is the whole file; nothing of the tensors' data is read, so that a start takes
/// as long for any size. Texts are views into `data`. Errors (format, unsupported) name source, item, offset, expected
/// and got. That `bytes` is what tiles of that type and shape take is for who knows the tiles to check.
TiledHeader parse_tiled(std::span<const std::byte> data, std::string_view source);

/// Sets offsets and file_bytes: tensors that are not matrices first, so that a start reads one place of the file, then
/// the matrices, each kind in the order given. Errors (format): a size beyond 64 bits.
void place_tiled(TiledHeader& header);

/// The header's bytes, for byte 0 of the file; its checksum included.
std::string tiled_header_bytes(const TiledHeader& header);

}  // namespace minke::formats
