#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/xxh64.h"
#include "formats/tiled.h"
#include "formats/tiled_form.h"

namespace minke::formats {

namespace {

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

std::uint64_t header_size(const TiledHeader& header) {
  std::uint64_t size = kTiledFixedBytes;
  for (const TiledText& text : header.texts) size += 1 + text.name.size() + 8 + text.text.size();
  for (const TiledTensor& tensor : header.tensors)
    size += 2 + tensor.name.size() + 1 + info(tensor.dtype).name.size() + 1 + 1 + 8 * tensor.shape.size() + 3 * 8;
  return size;
}

std::uint64_t aligned(std::uint64_t at, std::uint64_t align) {
  return base::checked_add(at, align - 1, "tiled file") / align * align;
}

}  // namespace

void place_tiled(TiledHeader& header) {
  std::uint64_t end = header_size(header);
  for (const TensorLayout layout : {TensorLayout::plain, TensorLayout::tiles})
    for (TiledTensor& tensor : header.tensors) {
      if (tensor.layout != layout) continue;
      tensor.offset = aligned(end, tiled_align(layout));
      end = base::checked_add(tensor.offset, tensor.bytes, tensor.name);
    }
  header.file_bytes = end;
}

std::string tiled_header_bytes(const TiledHeader& header) {
  std::string out(kTiledMagic);
  put(out, kTiledVersion);
  put(out, static_cast<std::uint32_t>(header.source));
  put(out, header.file_bytes);
  put(out, header_size(header));
  put(out, std::uint64_t{header.texts.size()});
  put(out, std::uint64_t{header.tensors.size()});
  put(out, std::uint64_t{0});
  put(out, std::uint64_t{0});
  for (const TiledText& text : header.texts) {
    put(out, static_cast<std::uint8_t>(text.name.size()));
    out += text.name;
    put(out, std::uint64_t{text.text.size()});
    out += text.text;
  }
  for (const TiledTensor& tensor : header.tensors) {
    put(out, static_cast<std::uint16_t>(tensor.name.size()));
    out += tensor.name;
    const std::string_view type = info(tensor.dtype).name;
    put(out, static_cast<std::uint8_t>(type.size()));
    out += type;
    put(out, tensor.layout);
    put(out, static_cast<std::uint8_t>(tensor.shape.size()));
    for (const std::uint64_t size : tensor.shape) put(out, size);
    put(out, tensor.offset);
    put(out, tensor.bytes);
    put(out, tensor.checksum);
  }
  const std::uint64_t checksum = base::xxh64(std::as_bytes(std::span(out)));
  std::memcpy(out.data() + kTiledChecksumAt, &checksum, sizeof checksum);
  return out;
}

}  // namespace minke::formats
