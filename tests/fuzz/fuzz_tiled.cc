// A tiled file: the parser, and a step over its weights. Byte 0 says what the rest is. Even: a file's bytes; the sizes
// and the checksum of its header are put right, or nothing would pass them. Odd: changes of a tiny model's tiled
// file, four bytes each (place, 24 bits, and value): a change among the tiles is a weight that nobody checked.
// Nothing may crash, hang or give anything but logits or a typed error.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/xxh64.h"
#include "engine/engine.h"
#include "formats/tiled.h"
#include "fuzz_input.h"
#include "models/convert.h"
#include "support/temp_folder.h"

namespace {

using minke::test::TempFolder;

constexpr const char* kBases[] = {"tiny_moe/deepseek_v3_fp8_ue8m0", "tiny_moe/qwen3_moe_mixed", "tiny_gguf/qwen2.gguf",
                                  "tiny_moe_gguf/deepseek_v2_lite.fused.gguf"};

std::string converted(const std::string& model) {
  const TempFolder folder(TempFolder::Place::memory);
  const auto source = minke::formats::Checkpoint::open(std::string(MINKE_SOURCE_DIR) + "/tests/golden/" + model);
  minke::base::ThreadPool pool(1);
  minke::models::convert(*source, minke::models::read_config(*source), folder.file("m.minke"), pool, {});
  std::ifstream file(folder.file("m.minke"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string& base(std::size_t index) {
  static std::string files[std::size(kBases)];
  if (files[index].empty()) files[index] = converted(kBases[index]);
  return files[index];
}

/// Sizes that fit and a checksum that is right.
void sign(std::string& file) {
  if (file.size() < 64) return;
  const std::uint64_t size = file.size();
  std::memcpy(file.data() + 16, &size, 8);
  std::uint64_t header;
  std::memcpy(&header, file.data() + 24, 8);
  if (header < 64 || header > size) return;
  std::memset(file.data() + 56, 0, 8);
  const std::uint64_t sum = minke::base::xxh64(std::as_bytes(std::span(file)).first(header));
  std::memcpy(file.data() + 56, &sum, 8);
}

void run(const std::string& path) {
  constexpr minke::engine::TokenId kTokens[] = {1, 2, 200};
  try {
    const auto checkpoint = minke::formats::Checkpoint::open(path);
    for (const auto numerics : {minke::kernels::Numerics::fast, minke::kernels::Numerics::exact}) {
      minke::engine::Engine engine(
          *checkpoint, {.threads = 1, .numerics = numerics, .context = 64, .memory_limit = 256 << 20, .chunk = 2});
      engine.logits(kTokens, 2, [](std::size_t, std::span<const float> row) {
        for (const float logit : row)
          if (!std::isfinite(logit)) std::abort();  // it must have been an Error(numeric)
        return true;
      });
    }
  } catch (const minke::base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TempFolder folder(TempFolder::Place::memory);
  if (size < 2 || size > (1 << 16)) return 0;
  std::string file;
  if (data[0] % 2 == 0) {
    file = minke::fuzz::text_of(data + 1, size - 1);
  } else {
    file = base(data[0] / 2 % std::size(kBases));
    for (std::size_t i = 1; i + 4 <= size && i < 4 * 64; i += 4) {
      const std::size_t place = data[i] | data[i + 1] << 8 | data[i + 2] << 16;
      file[place % file.size()] = static_cast<char>(data[i + 3]);
    }
  }
  sign(file);
  run(folder.write("m.minke", file));
  return 0;
}
