// GGUF v2/v3 headers: metadata and tensor table. Format: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"

namespace minke::formats {

/// One metadata value. Integers of every width are widened to int64 or uint64, f32 to double; arrays
/// are flat (nested arrays are refused). Strings are owned (they outlive the map) and are valid UTF-8
/// only if the file's were.
using GgufValue =
    std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<bool>, std::vector<std::int64_t>,
                 std::vector<std::uint64_t>, std::vector<double>, std::vector<std::string>>;

class GgufMetadata {
 public:
  bool empty() const noexcept { return values_.empty(); }
  const std::map<std::string, GgufValue, std::less<>>& values() const noexcept { return values_; }
  bool contains(std::string_view key) const noexcept { return values_.find(key) != values_.end(); }

  // Typed access: nullopt / nullptr when the key is absent; Error(format) "SOURCE: KEY: expected TYPE,
  // got TYPE" when it is there with another type. Integers of either sign are accepted where they fit.
  std::optional<std::uint64_t> find_uint(std::string_view key) const;
  std::optional<std::int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;  ///< also from an integer
  std::optional<bool> find_bool(std::string_view key) const;
  const std::string* find_string(std::string_view key) const;
  const std::vector<std::string>* find_strings(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> find_ints(std::string_view key) const;  ///< array of any integer type
  std::optional<std::vector<double>> find_floats(std::string_view key) const;

  const std::string& source() const noexcept { return source_; }

  GgufMetadata() = default;
  GgufMetadata(std::string source, std::map<std::string, GgufValue, std::less<>> values)
      : source_(std::move(source)), values_(std::move(values)) {}

 private:
  std::string source_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

/// A tensor's row in the table, offsets relative to the start of the file, extents not yet checked
/// against each other.
struct GgufTensor {
  std::string name;
  std::uint32_t ggml_type = 0;
  std::vector<std::uint64_t> shape;  ///< outermost first
  std::uint64_t offset = 0;          ///< in the file
  std::uint64_t bytes = 0;
};

struct GgufHeader {
  std::uint32_t version = 0;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::uint64_t metadata_end = 0;  ///< the byte after the last key's value: where the tensor table begins
};

/// Parses and checks a header. `data` is the whole file (`file_size` bytes) or as much of its start as
/// is at hand; extents are checked against `file_size`. Errors (format, unsupported) name source, item,
/// offset, expected and got. Memory used is bounded by a small multiple of data.size().
GgufHeader parse_gguf(std::span<const std::byte> data, std::uint64_t file_size, std::string_view source);

}  // namespace minke::formats
