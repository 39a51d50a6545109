// Tiled files for tests, built field by field so that any of them can be wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cat.h"
#include "base/xxh64.h"
#include "formats/file_builder.h"

namespace minke::formats::testing {

struct TiledBuilder {
  struct Tensor {
    std::string name, type;
    std::uint8_t layout = 0;
    std::vector<std::uint64_t> shape;
    std::uint64_t offset = 0, bytes = 0;
    std::optional<std::uint16_t> name_length;
    std::optional<std::uint8_t> dimensions;
  };

  std::string magic = "MINKE\r\n\x1a";
  std::uint32_t version = 1, source = 0;
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<Tensor> tensors;
  std::uint64_t reserved = 0, size = 8192;
  std::optional<std::uint64_t> file_bytes, header_bytes, text_count, tensor_count, text_length;
  std::uint64_t checksum_off = 0;  ///< added to what is right

  std::string build() const {
    std::string body;
    for (const auto& [name, text] : texts)
      body += raw(static_cast<std::uint8_t>(name.size())) + name +
              raw(text_length.value_or(std::uint64_t{text.size()})) + text;
    for (const Tensor& t : tensors) {
      body += raw(t.name_length.value_or(static_cast<std::uint16_t>(t.name.size()))) + t.name;
      body += raw(static_cast<std::uint8_t>(t.type.size())) + t.type + raw(t.layout);
      body += raw(t.dimensions.value_or(static_cast<std::uint8_t>(t.shape.size())));
      for (const std::uint64_t n : t.shape) body += raw(n);
      body += raw(t.offset) + raw(t.bytes) + raw(std::uint64_t{0});
    }
    const std::uint64_t header = header_bytes.value_or(64 + body.size());
    std::string file = magic + raw(version) + raw(source) + raw(file_bytes.value_or(size)) + raw(header) +
                       raw(text_count.value_or(texts.size())) + raw(tensor_count.value_or(tensors.size())) +
                       raw(reserved) + raw(std::uint64_t{0}) + body;
    if (file.size() < size) file.resize(size);
    sign(file, header);
    return file;
  }

  /// Puts the right checksum of the first `header` bytes (plus what is to be wrong) in its place.
  void sign(std::string& file, std::uint64_t header) const {
    if (header < 64 || header > file.size()) return;
    std::memset(file.data() + 56, 0, 8);
    const std::uint64_t sum = base::xxh64(std::as_bytes(std::span(file)).first(header)) + checksum_off;
    std::memcpy(file.data() + 56, &sum, 8);
  }
};

/// Opens: a configuration, two vectors and a matrix.
inline TiledBuilder small_tiled() {
  TiledBuilder b;
  b.texts = {{"config.json", R"({"model_type":"llama"})"}, {"chat_template.jinja", "{{ messages }}"}};
  b.tensors = {{"a", "F32", 0, {4}, 1024, 16}, {"b", "F32", 0, {8}, 1088, 32}, {"w", "F32", 1, {16, 4}, 4096, 256}};
  return b;
}

inline TiledBuilder small_tiled_gguf() {
  TiledBuilder b;
  b.source = 1;
  GgufBuilder metadata;
  metadata.keys = {{"general.architecture", u32, raw<std::uint32_t>(7)}};
  b.texts = {{"metadata.gguf", metadata.build()}};
  b.tensors = {{"w", "Q8_0", 1, {16, 32}, 4096, 1024}};
  return b;
}

}  // namespace minke::formats::testing
