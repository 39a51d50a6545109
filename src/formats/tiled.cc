#include "formats/tiled.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/xxh64.h"
#include "formats/tiled_form.h"

namespace minke::formats {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using base::quote_name;

// Limits, each far above every known model, that bound time and memory on hostile files.
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{512} << 20;
constexpr std::uint64_t kMaxTensors = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxNameBytes = 256;
constexpr std::uint64_t kMaxTypeBytes = 16;
constexpr std::uint64_t kMaxDimensions = 3;
/// The least bytes that a tensor's entry takes.
constexpr std::uint64_t kLeastTensorBytes = 2 + 1 + 1 + 1 + 1 + 1 + 8 + 3 * 8;

constexpr TiledTextKind kSafetensorsTexts[] = {{"config.json", std::uint64_t{16} << 20},
                                               {"generation_config.json", std::uint64_t{16} << 20},
                                               {"tokenizer_config.json", std::uint64_t{64} << 20},
                                               {"tokenizer.json", std::uint64_t{256} << 20},
                                               {"chat_template.jinja", std::uint64_t{4} << 20}};
constexpr TiledTextKind kGgufTexts[] = {{"metadata.gguf", std::uint64_t{256} << 20}};

class TiledParser {
 public:
  TiledParser(std::span<const std::byte> data, std::string_view source)
      : in_(data, source), whole_(data), file_size_(data.size()) {}

  TiledHeader parse() {
    TiledHeader header;
    const std::uint64_t texts = read_fixed(header);
    for (std::uint64_t i = 0; i < texts; ++i) header.texts.push_back(read_text(header, i));
    header.tensors.reserve(tensors_);
    for (std::uint64_t i = 0; i < tensors_; ++i) header.tensors.push_back(read_tensor(i));
    if (in_.offset() != header_size_)
      fail("header", in_.offset(), cat("expected its end at byte ", header_size_, ", got it here"));
    check_places(header.tensors);
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view item, std::uint64_t offset, std::string_view what,
                         ErrorCode code = ErrorCode::format, std::string hint = {}) const {
    throw Error(code, cat(in_.source(), ": ", item, " at byte ", offset, ": ", what), std::move(hint));
  }

  /// Everything up to the texts; returns their number. From here on `in_` ends where the header does.
  std::uint64_t read_fixed(TiledHeader& header) {
    const std::string_view magic = in_.take_text(kTiledMagic.size(), "magic");
    if (magic != kTiledMagic) fail("magic", 0, cat("expected ", quote_name(kTiledMagic), ", got ", quote_name(magic)));
    const auto version = in_.read<std::uint32_t>("version");
    if (version != kTiledVersion)
      fail("version", 8, cat("expected ", kTiledVersion, ", got ", version), ErrorCode::unsupported,
           "convert the model again with this version of minke");
    const auto source = in_.read<std::uint32_t>("source");
    if (source > 1) fail("source", 12, cat("expected 0 (safetensors) or 1 (GGUF), got ", source));
    header.source = static_cast<TiledSource>(source);
    header.file_bytes = in_.read<std::uint64_t>("file size");
    if (header.file_bytes != file_size_)
      fail("file size", 16, cat("expected the ", header.file_bytes, " bytes that were written, got ", file_size_),
           ErrorCode::format, "the file may be cut short: copy or convert it again");
    header_size_ = in_.read<std::uint64_t>("header size");
    if (header_size_ < kTiledFixedBytes || header_size_ > std::min(file_size_, kMaxHeaderBytes))
      fail("header size", 24,
           cat("expected ", kTiledFixedBytes, " to ", std::min(file_size_, kMaxHeaderBytes), ", got ", header_size_));
    const auto texts = in_.read<std::uint64_t>("text count");
    const std::size_t most = tiled_texts(header.source).size();
    if (texts > most) fail("text count", 32, cat("expected at most ", most, ", got ", texts));
    tensors_ = in_.read<std::uint64_t>("tensor count");
    if (tensors_ > std::min(kMaxTensors, header_size_ / kLeastTensorBytes))
      fail("tensor count", 40, cat("expected at most what the header's ", header_size_, " bytes hold, got ", tensors_));
    if (const auto zero = in_.read<std::uint64_t>("reserved"); zero != 0)
      fail("reserved", 48, cat("expected 0, got ", zero), ErrorCode::unsupported);
    check_checksum(in_.read<std::uint64_t>("checksum"));
    in_ = base::ByteReader(whole_.first(header_size_), in_.source());
    in_.seek(kTiledFixedBytes, "texts");
    return texts;
  }

  void check_checksum(std::uint64_t expected) const {
    constexpr std::byte kZeros[8] = {};
    base::Xxh64 hash;
    hash.update(whole_.first(kTiledChecksumAt));
    hash.update(kZeros);
    hash.update(whole_.subspan(kTiledFixedBytes, header_size_ - kTiledFixedBytes));
    if (hash.digest() != expected)
      fail("checksum", kTiledChecksumAt, "the header is damaged: its checksum is another", ErrorCode::format,
           "copy or convert the file again");
  }

  TiledText read_text(const TiledHeader& header, std::uint64_t number) {
    const std::size_t start = in_.offset();
    const std::string item = cat("text ", number);
    const std::string_view name = in_.take_text(in_.read<std::uint8_t>(item), item);
    const auto kinds = tiled_texts(header.source);
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.name == name; });
    if (kind == kinds.end())
      fail(item, start, cat("no such text is known: ", quote_name(name)), ErrorCode::unsupported);
    for (const TiledText& other : header.texts)
      if (other.name == name) fail(item, start, cat(quote_name(name), " is there twice"));
    const auto size = in_.read<std::uint64_t>(cat("text ", name));
    if (size > kind->max_bytes)
      fail(cat("text ", name), start, cat("expected at most ", kind->max_bytes, " bytes, got ", size));
    return {std::string(name), in_.take_text(size, cat("text ", name))};
  }

  TiledTensor read_tensor(std::uint64_t number) {
    TiledTensor tensor;
    const std::size_t start = in_.offset();
    const std::string numbered = cat("tensor ", number);
    const auto length = in_.read<std::uint16_t>(numbered);
    if (length == 0 || length > kMaxNameBytes)
      fail(numbered, start, cat("expected a name of 1 to ", kMaxNameBytes, " bytes, got ", length));
    tensor.name = in_.take_text(length, numbered);
    const std::string item = cat("tensor ", quote_name(tensor.name));
    read_type(tensor, item, start);
    const std::uint64_t elements = read_shape(tensor, item, start);
    tensor.offset = in_.read<std::uint64_t>(item);
    tensor.bytes = in_.read<std::uint64_t>(item);
    tensor.checksum = in_.read<std::uint64_t>(item);
    if (tensor.offset % tiled_align(tensor.layout) != 0)
      fail(item, start,
           cat("expected an offset that is a multiple of ", tiled_align(tensor.layout), ", got ", tensor.offset));
    if (tensor.layout != TensorLayout::plain) return tensor;
    const std::uint64_t plain_bytes = base::checked_mul(elements, sizeof(float), cat(in_.source(), ": ", item));
    if (tensor.bytes != plain_bytes)
      fail(item, start, cat("expected the ", plain_bytes, " bytes of its elements, got ", tensor.bytes));
    return tensor;
  }

  void read_type(TiledTensor& tensor, const std::string& item, std::size_t start) {
    const auto length = in_.read<std::uint8_t>(item);
    if (length > kMaxTypeBytes)
      fail(item, start, cat("expected a type's name of at most ", kMaxTypeBytes, " bytes, got ", +length));
    const std::string_view name = in_.take_text(length, item);
    const auto dtype = dtype_from_name(name);
    if (!dtype) fail(item, start, cat("no type ", quote_name(name), " is known"), ErrorCode::unsupported);
    tensor.dtype = *dtype;
    const auto layout = in_.read<std::uint8_t>(item);
    if (layout > static_cast<std::uint8_t>(TensorLayout::tiles))
      fail(item, start, cat("expected layout 0 (plain) or 1 (tiles), got ", +layout), ErrorCode::unsupported,
           "convert the model again with this version of minke");
    tensor.layout = static_cast<TensorLayout>(layout);
    if (tensor.layout == TensorLayout::plain && tensor.dtype != DType::f32)
      fail(item, start, cat("expected F32 in layout 0, got ", name));
  }

  /// Returns the elements.
  std::uint64_t read_shape(TiledTensor& tensor, const std::string& item, std::size_t start) {
    const auto dimensions = in_.read<std::uint8_t>(item);
    const bool matrix = tensor.layout == TensorLayout::tiles;
    if (dimensions > kMaxDimensions || dimensions < (matrix ? 2 : 1))
      fail(item, start, cat("expected ", matrix ? 2 : 1, " to ", kMaxDimensions, " dimensions, got ", +dimensions));
    std::uint64_t elements = 1;
    for (std::size_t i = 0; i < dimensions; ++i) {
      tensor.shape.push_back(in_.read<std::uint64_t>(item));
      if (tensor.shape.back() == 0) fail(item, start, cat("expected dimension ", i, " to be at least 1, got 0"));
      elements = base::checked_mul(elements, tensor.shape.back(), cat(in_.source(), ": ", item));
    }
    const DTypeInfo& type = info(tensor.dtype);
    if (tensor.shape.back() % type.block_elements != 0)
      fail(item, start,
           cat("expected rows that are a multiple of the ", type.block_elements, " elements of a ", type.name,
               " block, got ", tensor.shape.back()));
    return elements;
  }

  /// Every tensor is in the file, behind the header, and touches no other.
  void check_places(const std::vector<TiledTensor>& tensors) const {
    std::vector<const TiledTensor*> by_place;
    by_place.reserve(tensors.size());
    for (const TiledTensor& tensor : tensors) {
      const std::string item = cat(in_.source(), ": tensor ", quote_name(tensor.name));
      const std::uint64_t end = base::checked_add(tensor.offset, tensor.bytes, item);
      if (tensor.bytes == 0 || tensor.offset < header_size_ || end > file_size_)
        throw Error(ErrorCode::format, cat(item, ": expected data between bytes ", header_size_, " and ", file_size_,
                                           ", got ", tensor.offset, " to ", end));
      by_place.push_back(&tensor);
    }
    std::sort(by_place.begin(), by_place.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < by_place.size(); ++i) {
      const TiledTensor &before = *by_place[i - 1], &after = *by_place[i];
      if (before.offset + before.bytes > after.offset)
        throw Error(ErrorCode::format, cat(in_.source(), ": tensor ", quote_name(after.name), ": its data at byte ",
                                           after.offset, " overlaps tensor ", quote_name(before.name),
                                           ", which ends at byte ", before.offset + before.bytes));
    }
  }

  base::ByteReader in_;
  std::span<const std::byte> whole_;
  std::uint64_t file_size_, header_size_ = 0, tensors_ = 0;
};

}  // namespace

std::string_view TiledHeader::text(std::string_view name) const noexcept {
  for (const TiledText& text : texts)
    if (text.name == name) return text.text;
  return {};
}

std::span<const TiledTextKind> tiled_texts(TiledSource source) noexcept {
  if (source == TiledSource::gguf) return kGgufTexts;
  return kSafetensorsTexts;
}

bool has_tiled_magic(std::span<const std::byte> data) noexcept {
  return data.size() >= kTiledMagic.size() &&
         std::equal(kTiledMagic.begin(), kTiledMagic.end(), reinterpret_cast<const char*>(data.data()));
}

TiledHeader parse_tiled(std::span<const std::byte> data, std::string_view source) {
  return TiledParser(data, source).parse();
}

}  // namespace minke::formats
