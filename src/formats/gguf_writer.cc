#include "formats/gguf_writer.h"

#include <cstring>
#include <type_traits>

#include "base/bytes.h"
#include "base/error.h"

namespace minke::formats {
namespace {

constexpr std::uint64_t kAlignment = 32;  // GGUF's default, so that no key needs to tell it
constexpr std::uint32_t kVersion = 3;

// Numbers of GGUF's value types.
constexpr std::uint32_t kUint32 = 4, kFloat32 = 6, kBool = 7, kString = 8;

std::uint64_t aligned(std::uint64_t offset) {
  return base::checked_add(offset, kAlignment - 1, "GGUF") / kAlignment * kAlignment;
}

class HeaderWriter {
 public:
  template <typename T>
    requires std::is_arithmetic_v<T>
  void number(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    text_.append(bytes, sizeof value);
  }

  void string(const std::string& value) {
    number(std::uint64_t{value.size()});
    text_ += value;
  }

  void entry(const GgufEntry& entry) {
    string(entry.key);
    if (const bool* flag = std::get_if<bool>(&entry.value)) {
      number(kBool);
      number(static_cast<std::uint8_t>(*flag));
    } else if (const auto* integer = std::get_if<std::uint32_t>(&entry.value)) {
      number(kUint32);
      number(*integer);
    } else if (const auto* real = std::get_if<float>(&entry.value)) {
      number(kFloat32);
      number(*real);
    } else if (const auto* text = std::get_if<std::string>(&entry.value)) {
      number(kString);
      string(*text);
    }
  }

  void tensor(const TensorSpec& spec, std::uint64_t offset) {
    const auto type = ggml_number(spec.dtype);
    if (!type)
      throw base::Error(base::ErrorCode::unsupported,
                        base::cat("tensor ", spec.name, ": a GGUF cannot hold ", info(spec.dtype).name));
    string(spec.name);
    number(static_cast<std::uint32_t>(spec.shape.size()));
    for (std::size_t i = spec.shape.size(); i > 0; --i) number(spec.shape[i - 1]);  // innermost first
    number(*type);
    number(offset);
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_ = "GGUF";
};

}  // namespace

FileLayout lay_out_gguf(std::span<const GgufEntry> metadata, std::span<const TensorSpec> tensors) {
  FileLayout layout;
  HeaderWriter writer;
  writer.number(kVersion);
  writer.number(std::uint64_t{tensors.size()});
  writer.number(std::uint64_t{metadata.size()});
  for (const GgufEntry& entry : metadata) writer.entry(entry);
  std::uint64_t offset = 0;  // from the start of the data
  for (const TensorSpec& spec : tensors) {
    writer.tensor(spec, offset);
    layout.offsets.push_back(offset);
    offset = aligned(base::checked_add(offset, data_bytes(spec), spec.name));
  }
  layout.header = writer.take();
  const std::uint64_t start = aligned(layout.header.size());
  for (std::uint64_t& place : layout.offsets) place += start;
  layout.size = base::checked_add(start, offset, "GGUF");
  return layout;
}

}  // namespace minke::formats
