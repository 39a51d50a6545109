#include "formats/tiled_texts.h"

#include <filesystem>

#include "base/mapped_file.h"
#include "base/read_file.h"
#include "formats/tiled.h"

namespace minke::formats {

namespace {

/// Where a GGUF's header has the number of tensors, 64 bits.
constexpr std::size_t kGgufTensorCountAt = 8;

/// The file up to its tensor table, with a count of none.
std::string gguf_metadata(const std::string& path) {
  const auto file = base::MappedFile::open(path);
  const GgufHeader header = parse_gguf(file->data(), file->data().size(), path);
  const auto bytes = file->data().first(header.metadata_end);
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  file->check();
  return text.replace(kGgufTensorCountAt, sizeof(std::uint64_t), sizeof(std::uint64_t), '\0');
}

}  // namespace

std::vector<std::pair<std::string, std::string>> texts_for_tiled(const Checkpoint& source) {
  std::vector<std::pair<std::string, std::string>> texts;
  if (source.kind() == CheckpointKind::gguf) {
    texts.emplace_back("metadata.gguf", gguf_metadata(source.path()));
    return texts;
  }
  for (const TiledTextKind& kind : tiled_texts(TiledSource::safetensors)) {
    const std::string path = source.path() + "/" + std::string(kind.name);
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored))
      texts.emplace_back(kind.name, base::read_file(path, kind.max_bytes));
  }
  return texts;
}

}  // namespace minke::formats
