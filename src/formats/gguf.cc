#include "formats/gguf.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/quote.h"
#include "formats/dtype.h"

namespace minke::formats {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using base::quote_name;

// Limits, each far above every known file, that bound time and memory on hostile ones.
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxKeys = 65536;
constexpr std::uint64_t kMaxKeyBytes = 65535;  // the format's own
constexpr std::uint64_t kMaxStringBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxArrayElements = std::uint64_t{1} << 24;
constexpr std::uint64_t kMaxTensors = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxTensorNameBytes = 256;  // ggml itself: 63
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kDefaultAlignment = 32;

// The least bytes that an entry takes: counts are compared with what is left before anything is reserved.
constexpr std::uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

enum class ValueType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};
constexpr std::uint32_t kValueTypes = 13;
constexpr std::string_view kValueTypeNames[kValueTypes] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                           "bool", "string", "array", "u64", "i64", "f64"};

std::uint64_t size_of(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean:
      return 1;
    case ValueType::u16:
    case ValueType::i16:
      return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32:
      return 4;
    case ValueType::u64:
    case ValueType::i64:
    case ValueType::f64:
    case ValueType::string:
      return 8;  // of a string: its length
    case ValueType::array:
      break;
  }
  return 12;  // element type and count
}

class HeaderParser {
 public:
  HeaderParser(std::span<const std::byte> data, std::uint64_t file_size, std::string_view source)
      : in_(data, source), file_size_(file_size) {}

  GgufHeader parse() {
    GgufHeader header;
    header.version = read_version();
    const std::uint64_t tensors = read_count("tensor count", kMaxTensors);
    const std::uint64_t keys = read_count("key count", kMaxKeys);
    // Both kinds of entry follow; only their sum can be held against the bytes that are left.
    const std::uint64_t least = keys * kLeastKeyBytes + tensors * kLeastTensorBytes;
    if (least > in_.remaining())
      fail("tensor and key counts", 8,
           cat("expected at most what ", in_.remaining(), " bytes can hold, got ", tensors, " tensors and ", keys,
               " keys, which need at least ", least));
    header.metadata = GgufMetadata(in_.source(), read_metadata(keys));
    header.metadata_end = in_.offset();
    read_alignment(header.metadata);
    header.tensors.reserve(tensors);
    for (std::uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(i));
    place(header.tensors);
    check_names(header.tensors);
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view item, std::uint64_t offset, std::string_view what,
                         ErrorCode code = ErrorCode::format) const {
    throw Error(code, cat(in_.source(), ": ", item, " at byte ", offset, ": ", what));
  }

  std::uint32_t read_version() {
    const std::string_view magic = in_.take_text(4, "magic");
    if (magic != "GGUF") fail("magic", 0, cat("expected 'GGUF', got ", quote_name(magic)));
    const auto version = in_.read<std::uint32_t>("version");
    if (version != 0 && (version & 0xFFFFu) == 0)
      fail("version", 4, "expected a little-endian file, got a big-endian one", ErrorCode::unsupported);
    if (version != 2 && version != 3) fail("version", 4, cat("expected 2 or 3, got ", version), ErrorCode::unsupported);
    return version;
  }

  std::uint64_t read_count(std::string_view item, std::uint64_t most) {
    const std::size_t offset = in_.offset();
    const auto count = in_.read<std::uint64_t>(item);
    if (count > most) fail(item, offset, cat("expected at most ", most, ", got ", count));
    return count;
  }

  std::string_view read_text(std::string_view item, std::uint64_t most) {
    const std::size_t offset = in_.offset();
    const auto length = in_.read<std::uint64_t>(item);
    if (length > most) fail(item, offset, cat("expected a length of at most ", most, " bytes, got ", length));
    return in_.take_text(length, item);
  }

  void check_header_size(std::string_view item) const {
    if (in_.offset() > kMaxHeaderBytes)
      fail(item, in_.offset(), cat("expected a header of at most ", kMaxHeaderBytes, " bytes"));
  }

  std::map<std::string, GgufValue, std::less<>> read_metadata(std::uint64_t count) {
    std::map<std::string, GgufValue, std::less<>> values;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::size_t offset = in_.offset();
      const std::string_view key = read_text(cat("name of key ", i), kMaxKeyBytes);
      const std::string item = cat("key ", quote_name(key));
      if (key.empty()) fail(cat("name of key ", i), offset, "the name is empty");
      if (values.find(key) != values.end()) fail(item, offset, "duplicate key");
      values.emplace(key, read_value(item));
      check_header_size(item);
    }
    return values;
  }

  ValueType read_type(const std::string& item) {
    const std::size_t offset = in_.offset();
    const auto number = in_.read<std::uint32_t>(item);
    if (number >= kValueTypes) fail(item, offset, cat("expected a value type below ", kValueTypes, ", got ", number));
    return static_cast<ValueType>(number);
  }

  GgufValue read_value(const std::string& item) {
    switch (read_type(item)) {
      case ValueType::u8:
        return std::uint64_t{in_.read<std::uint8_t>(item)};
      case ValueType::u16:
        return std::uint64_t{in_.read<std::uint16_t>(item)};
      case ValueType::u32:
        return std::uint64_t{in_.read<std::uint32_t>(item)};
      case ValueType::u64:
        return in_.read<std::uint64_t>(item);
      case ValueType::i8:
        return std::int64_t{in_.read<std::int8_t>(item)};
      case ValueType::i16:
        return std::int64_t{in_.read<std::int16_t>(item)};
      case ValueType::i32:
        return std::int64_t{in_.read<std::int32_t>(item)};
      case ValueType::i64:
        return in_.read<std::int64_t>(item);
      case ValueType::f32:
        return double{in_.read<float>(item)};
      case ValueType::f64:
        return in_.read<double>(item);
      case ValueType::boolean:
        return read_bool(item);
      case ValueType::string:
        return std::string(read_text(item, kMaxStringBytes));
      case ValueType::array:
        break;
    }
    return read_array(item);
  }

  bool read_bool(const std::string& item) {
    const std::size_t offset = in_.offset();
    const auto byte = in_.read<std::uint8_t>(item);
    if (byte > 1) fail(item, offset, cat("expected a bool (0 or 1), got ", static_cast<unsigned>(byte)));
    return byte == 1;
  }

  template <typename Stored, typename Wide>
  std::vector<Wide> read_numbers(std::uint64_t count, const std::string& item) {
    const auto bytes = in_.take(count * sizeof(Stored), item);
    std::vector<Wide> result(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      Stored value;
      std::memcpy(&value, bytes.data() + i * sizeof(Stored), sizeof(Stored));
      result[i] = value;  // NOLINT(bugprone-signed-char-misuse): an i8 is a number here
    }
    return result;
  }

  GgufValue read_array(const std::string& item) {
    const std::size_t offset = in_.offset();
    const ValueType type = read_type(item);
    if (type == ValueType::array) fail(item, offset, "an array of arrays", ErrorCode::unsupported);
    const auto count = in_.read<std::uint64_t>(item);
    if (count > kMaxArrayElements)
      fail(item, offset, cat("expected at most ", kMaxArrayElements, " elements, got ", count));
    if (count * size_of(type) > in_.remaining())
      fail(item, offset,
           cat(count, " elements of ", kValueTypeNames[static_cast<std::size_t>(type)], " need at least ",
               count * size_of(type), " bytes but the file has ", in_.remaining(), " left"));
    switch (type) {
      case ValueType::u8:
        return read_numbers<std::uint8_t, std::uint64_t>(count, item);
      case ValueType::u16:
        return read_numbers<std::uint16_t, std::uint64_t>(count, item);
      case ValueType::u32:
        return read_numbers<std::uint32_t, std::uint64_t>(count, item);
      case ValueType::u64:
        return read_numbers<std::uint64_t, std::uint64_t>(count, item);
      case ValueType::i8:
        return read_numbers<std::int8_t, std::int64_t>(count, item);
      case ValueType::i16:
        return read_numbers<std::int16_t, std::int64_t>(count, item);
      case ValueType::i32:
        return read_numbers<std::int32_t, std::int64_t>(count, item);
      case ValueType::i64:
        return read_numbers<std::int64_t, std::int64_t>(count, item);
      case ValueType::f32:
        return read_numbers<float, double>(count, item);
      case ValueType::f64:
        return read_numbers<double, double>(count, item);
      case ValueType::boolean:
        return read_bools(count, item);
      case ValueType::string:
      case ValueType::array:
        break;
    }
    return read_strings(count, item);
  }

  std::vector<bool> read_bools(std::uint64_t count, const std::string& item) {
    std::vector<bool> result;
    result.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) result.push_back(read_bool(item));
    return result;
  }

  std::vector<std::string> read_strings(std::uint64_t count, const std::string& item) {
    std::vector<std::string> result;
    result.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      // The item's number is put into words only when it is needed: vocabularies have 150 k strings.
      const std::size_t offset = in_.offset();
      std::uint64_t length = 0;
      if (in_.remaining() >= sizeof length) length = in_.read<std::uint64_t>(item);
      if (in_.offset() == offset || length > in_.remaining() || length > kMaxStringBytes)
        fail(cat(item, " [", i, "]"), offset,
             cat("a string of ", length, " bytes, but the file has ", in_.remaining(), " left and at most ",
                 kMaxStringBytes, " are read"));
      result.emplace_back(in_.take_text(length, item));
    }
    return result;
  }

  void read_alignment(const GgufMetadata& metadata) {
    alignment_ = metadata.find_uint("general.alignment").value_or(kDefaultAlignment);
    if (!std::has_single_bit(alignment_) || alignment_ > (std::uint64_t{1} << 31))
      throw Error(ErrorCode::format,
                  cat(in_.source(), ": key 'general.alignment': expected a power of two, got ", alignment_));
  }

  GgufTensor read_tensor(std::uint64_t index) {
    const std::size_t start = in_.offset();
    GgufTensor tensor;
    tensor.name = read_text(cat("name of tensor ", index), kMaxTensorNameBytes);
    const std::string item = cat("tensor ", quote_name(tensor.name));
    if (tensor.name.empty()) fail(cat("name of tensor ", index), start, "the name is empty");
    const auto dimensions = in_.read<std::uint32_t>(item);
    if (dimensions < 1 || dimensions > kMaxDimensions)
      fail(item, start, cat("expected 1 to ", kMaxDimensions, " dimensions, got ", dimensions));
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      tensor.shape.push_back(in_.read<std::uint64_t>(item));
      if (tensor.shape.back() == 0) fail(item, start, cat("expected dimension ", i, " to be at least 1, got 0"));
    }
    tensor.ggml_type = in_.read<std::uint32_t>(item);
    tensor.bytes = bytes_of(tensor, item, start);
    tensor.offset = in_.read<std::uint64_t>(item);
    if (tensor.offset % alignment_ != 0)
      fail(item, start,
           cat("expected an offset that is a multiple of the alignment ", alignment_, ", got ", tensor.offset));
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    check_header_size(item);
    return tensor;
  }

  /// `tensor.shape` still innermost first.
  std::uint64_t bytes_of(const GgufTensor& tensor, const std::string& item, std::size_t start) const {
    const auto dtype = dtype_from_ggml(tensor.ggml_type);
    if (!dtype)
      throw Error(ErrorCode::unsupported,
                  cat(in_.source(), ": ", item, " at byte ", start, ": type ", ggml_type_name(tensor.ggml_type),
                      " (ggml number ", tensor.ggml_type, ") is not read"),
                  "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ1_S to IQ4_XS and MXFP4 are");
    const DTypeInfo& type = info(*dtype);
    if (tensor.shape.front() % type.block_elements != 0)
      fail(item, start,
           cat("expected rows that are a multiple of the ", type.block_elements, " elements of a ", type.name,
               " block, got ", tensor.shape.front()));
    const std::string what = cat(in_.source(), ": ", item, " at byte ", start, ": shape");
    std::uint64_t elements = 1;
    for (const std::uint64_t dimension : tensor.shape) elements = base::checked_mul(elements, dimension, what);
    return base::checked_mul(elements / type.block_elements, type.block_bytes, what);
  }

  /// Makes offsets relative to the file, and checks that every tensor is inside it and touches no other.
  void place(std::vector<GgufTensor>& tensors) const {
    if (tensors.empty()) return;
    const std::uint64_t data_start = (in_.offset() + alignment_ - 1) / alignment_ * alignment_;
    std::vector<const GgufTensor*> by_place;
    by_place.reserve(tensors.size());
    for (GgufTensor& tensor : tensors) {
      const std::string item = cat(in_.source(), ": tensor ", quote_name(tensor.name));
      tensor.offset = base::checked_add(data_start, tensor.offset, item);
      const std::uint64_t end = base::checked_add(tensor.offset, tensor.bytes, item);
      if (end > file_size_)
        throw Error(ErrorCode::format,
                    cat(item, ": its data is at bytes ", tensor.offset, " to ", end, " but the file has ", file_size_,
                        " bytes"),
                    "the file may be cut short: fetch it again");
      by_place.push_back(&tensor);
    }
    std::sort(by_place.begin(), by_place.end(),
              [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < by_place.size(); ++i) {
      const GgufTensor &before = *by_place[i - 1], &after = *by_place[i];
      if (before.offset + before.bytes > after.offset)
        throw Error(ErrorCode::format, cat(in_.source(), ": tensor ", quote_name(after.name), ": its data at byte ",
                                           after.offset, " overlaps tensor ", quote_name(before.name),
                                           ", which ends at byte ", before.offset + before.bytes));
    }
  }

  void check_names(const std::vector<GgufTensor>& tensors) const {
    std::vector<std::string_view> names;
    names.reserve(tensors.size());
    for (const GgufTensor& tensor : tensors) names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end())
      throw Error(ErrorCode::format, cat(in_.source(), ": tensor ", quote_name(*twice), ": duplicate name"));
  }

  base::ByteReader in_;
  std::uint64_t file_size_;
  std::uint64_t alignment_ = kDefaultAlignment;
};

}  // namespace

GgufHeader parse_gguf(std::span<const std::byte> data, std::uint64_t file_size, std::string_view source) {
  return HeaderParser(data, file_size, source).parse();
}

}  // namespace minke::formats
