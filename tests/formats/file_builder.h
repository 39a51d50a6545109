// Builds small GGUF and safetensors files byte by byte, well-formed or not, for the tests of the parsers.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/temp_folder.h"

namespace minke::formats::testing {

using test::TempFolder;

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// GGUF's numbers of value types.
enum GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// A string as GGUF writes it; `length` may lie.
inline std::string gguf_string(std::string_view text, std::optional<std::uint64_t> length = {}) {
  return raw<std::uint64_t>(length.value_or(text.size())) + std::string(text);
}
/// An array's value; `count` may lie.
inline std::string gguf_array(std::uint32_t type, std::uint64_t count, const std::string& elements) {
  return raw(type) + raw(count) + elements;
}

struct GgufKey {
  std::string key;
  std::uint32_t type = u32;
  std::string value;
  std::optional<std::uint64_t> key_length = {};
};

struct GgufRow {
  std::string name;
  std::vector<std::uint64_t> dims;  // innermost first, as in the file
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> name_length = {};
  std::optional<std::uint32_t> dim_count = {};
};

/// A place where the file may be cut, and what a parser that misses the next bytes should name.
struct Boundary {
  std::size_t offset;
  std::string item;
};

struct GgufBuilder {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::optional<std::uint64_t> tensor_count, key_count;
  std::vector<GgufKey> keys;
  std::vector<GgufRow> tensors;
  std::size_t alignment = 32;
  std::size_t data_bytes = 0;

  std::string build(std::vector<Boundary>* boundaries = nullptr) const {
    std::string out;
    const auto mark = [&](const std::string& item) {
      if (boundaries != nullptr) boundaries->push_back({out.size(), item});
    };
    mark("");  // an empty file: refused before it is parsed
    out += magic;
    mark("version");
    out += raw(version);
    mark("tensor count");
    out += raw(tensor_count.value_or(tensors.size()));
    mark("key count");
    out += raw(key_count.value_or(keys.size()));
    for (const GgufKey& key : keys) {
      mark("key");  // or "tensor and key counts", which are held against what is left
      out += gguf_string(key.key, key.key_length);
      mark("key");
      out += raw(key.type);
      mark("key");
      out += key.value;
    }
    for (const GgufRow& row : tensors) {
      mark("tensor");
      out += gguf_string(row.name, row.name_length);
      mark("tensor");
      out += raw(row.dim_count.value_or(static_cast<std::uint32_t>(row.dims.size())));
      for (const std::uint64_t dim : row.dims) {
        mark("tensor");
        out += raw(dim);
      }
      mark("tensor");
      out += raw(row.type);
      mark("tensor");
      out += raw(row.offset);
    }
    mark("tensor");
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    mark("tensor");
    for (std::size_t i = 0; i < data_bytes; ++i) out.push_back(static_cast<char>(i % 61));
    return out;
  }
};

/// Three tensors and every type of value.
inline GgufBuilder small_gguf() {
  GgufBuilder b;
  b.keys = {
      {"general.architecture", string, gguf_string("llama")},
      {"general.alignment", u32, raw<std::uint32_t>(32)},
      {"test.u8", u8, raw<std::uint8_t>(200)},
      {"test.i8", i8, raw<std::int8_t>(-100)},
      {"test.u16", u16, raw<std::uint16_t>(60000)},
      {"test.i16", i16, raw<std::int16_t>(-30000)},
      {"test.i32", i32, raw<std::int32_t>(-2000000000)},
      {"test.u64", u64, raw<std::uint64_t>(~std::uint64_t{0})},
      {"test.i64", i64, raw<std::int64_t>(-5)},
      {"test.f32", f32, raw<float>(0.5f)},
      {"test.f64", f64, raw<double>(0.1)},
      {"test.bool", boolean, raw<std::uint8_t>(1)},
      {"test.bools", array, gguf_array(boolean, 3, std::string("\1\0\1", 3))},
      {"test.ints", array, gguf_array(i32, 2, raw<std::int32_t>(-1) + raw<std::int32_t>(7))},
      {"test.bytes", array, gguf_array(u8, 2, "\x01\xFF")},
      {"test.floats", array, gguf_array(f32, 2, raw<float>(1.5f) + raw<float>(-2))},
      {"test.none", array, gguf_array(string, 0, "")},
      {"tokenizer.ggml.tokens", array, gguf_array(string, 3, gguf_string("a") + gguf_string("") + gguf_string("ccc"))},
  };
  b.tensors = {
      {"a.weight", {4, 2}, 0, 0},    // F32: 32 bytes
      {"b.weight", {64, 2}, 8, 32},  // Q8_0: 136 bytes, to 168
      {"c.weight", {8}, 1, 192},     // F16: 16 bytes
  };
  b.data_bytes = 208;
  return b;
}

/// `length` may lie about the JSON.
inline std::string safetensors(const std::string& json, std::size_t data_bytes,
                               std::optional<std::uint64_t> length = {}) {
  return raw<std::uint64_t>(length.value_or(json.size())) + json + std::string(data_bytes, '\1');
}

inline std::string small_safetensors() {
  return safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},)"
      R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"s":{"dtype":"F16","shape":[],"data_offsets":[28,30]}})",
      30);
}

}  // namespace minke::formats::testing
