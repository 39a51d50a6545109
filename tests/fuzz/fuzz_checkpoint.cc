// A whole checkpoint from one input. The first byte says what it is: even, a GGUF split into two files; odd, a
// safetensors folder of an index and two shards. The parts are divided by the line "--8<--".
#include <array>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "fuzz_input.h"
#include "support/temp_folder.h"

namespace {

using minke::formats::Checkpoint;

std::array<std::string_view, 3> divide(std::string_view text) {
  constexpr std::string_view kDivider = "\n--8<--\n";
  std::array<std::string_view, 3> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = i + 1 < parts.size() ? text.find(kDivider) : text.npos;
    parts[i] = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + kDivider.size());
  }
  return parts;
}

/// Every byte that a tensor claims must be there to read.
void open(const std::string& path) {
  try {
    const auto checkpoint = Checkpoint::open(path);
    unsigned sum = 0;
    for (const minke::formats::TensorView& tensor : checkpoint->tensors()) {
      for (const std::byte byte : tensor.data) sum += std::to_integer<unsigned>(byte);
      if (checkpoint->find(tensor.name) != &tensor) std::abort();
    }
    __asm__ volatile("" : : "r"(sum));  // the reads must happen
    checkpoint->check_files();
  } catch (const minke::base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const minke::test::TempFolder folder(minke::test::TempFolder::Place::memory);
  if (size == 0) return 0;
  const auto parts = divide(minke::fuzz::text_of(data + 1, size - 1));
  if (data[0] % 2 == 0) {
    folder.write("m-00001-of-00002.gguf", parts[0]);
    folder.write("m-00002-of-00002.gguf", parts[1]);
    open(folder.path() + "/m-00001-of-00002.gguf");
  } else {
    folder.write("config.json", "{}");
    folder.write("model.safetensors.index.json", parts[0]);
    folder.write("a.safetensors", parts[1]);
    folder.write("b.safetensors", parts[2]);
    open(folder.path());
  }
  return 0;
}
