// A tiny mixture-of-experts checkpoint with some things changed: opened, loaded, and run for one step. The input is
// a program: the first byte chooses the checkpoint, each further four bytes (what, where, 16-bit value) one change.
// No change may crash, hang or give anything but logits or a typed error.
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>

#include "base/error.h"
#include "engine/engine.h"
#include "support/checkpoint_copy.h"
#include "support/temp_folder.h"

namespace {

namespace json = boost::json;
using minke::test::CheckpointCopy;
using minke::test::TensorCopy;

constexpr const char* kBases[] = {"tiny_moe/deepseek_v2_lite",      "tiny_moe/deepseek_v3",
                                  "tiny_moe/deepseek_v3_fp8_ue8m0", "tiny_moe/glm4_moe_lite",
                                  "tiny_moe/qwen3_moe_mixed",       "tiny_moe/deepseek_v3_mtp",
                                  "tiny_moe_gguf/deepseek_v3.gguf", "tiny_moe_gguf/deepseek_v2_lite.fused.gguf",
                                  "tiny_moe_gguf/qwen3_moe.gguf",   "tiny_moe_gguf/deepseek.gguf"};

const CheckpointCopy& base(std::size_t index) {
  static std::unique_ptr<const CheckpointCopy> loaded[std::size(kBases)];
  if (!loaded[index])
    loaded[index] =
        std::make_unique<const CheckpointCopy>(std::string(MINKE_SOURCE_DIR) + "/tests/golden/" + kBases[index]);
  return *loaded[index];
}

/// Small numbers, and the ends of every range.
std::int64_t integer(std::uint16_t value) {
  constexpr std::int64_t kSpecial[] = {-1, INT64_MIN, INT64_MAX, INT64_C(1) << 31, INT64_C(1) << 32, 65536, 1 << 20};
  if (value < 0xFF00) return value;
  return kSpecial[value % std::size(kSpecial)];
}

std::uint64_t elements(const TensorCopy& tensor) {
  std::uint64_t count = 1;
  for (const std::uint64_t n : tensor.shape) count *= n;
  return count;
}

json::object* inner(json::object& config) {
  for (const char* name : {"rope_parameters", "quantization_config"})
    if (json::value* value = config.if_contains(name); value != nullptr && value->is_object())
      return &value->get_object();
  return nullptr;
}

void set_member(json::object& object, std::size_t where, std::uint16_t value) {
  if (object.empty()) return;
  json::value& member = (object.begin() + static_cast<std::ptrdiff_t>(where % object.size()))->value();
  if (member.is_bool())
    member = !member.get_bool();
  else if (member.is_double())
    member = static_cast<double>(integer(value)) / 16;
  else
    member = integer(value);
}

void set_key(CheckpointCopy& copy, std::size_t where, std::uint16_t value) {
  auto key = copy.keys.begin();
  std::advance(key, static_cast<std::ptrdiff_t>(where % copy.keys.size()));
  if (std::holds_alternative<double>(key->second))
    key->second = static_cast<double>(integer(value)) / 16;
  else if (!std::holds_alternative<std::vector<std::string>>(key->second))
    key->second = integer(value);
}

void reshape(TensorCopy& tensor, std::uint16_t value) {
  const std::uint64_t before = elements(tensor);
  if (before == 0 || tensor.shape.empty()) return;
  std::vector<std::uint64_t> shape = tensor.shape;
  if (value % 3 == 0 && shape.size() > 1)
    std::swap(shape.front(), shape.back());
  else if (value % 3 == 1)
    shape[value / 3 % shape.size()] = value / 16 % 300;
  else
    shape.insert(shape.begin(), 1);
  std::uint64_t after = 1;
  for (const std::uint64_t n : shape) after *= n;
  if (after > (1u << 20)) return;
  tensor.data.resize(tensor.data.size() / before * after);
  tensor.shape = shape;
}

void poke(TensorCopy& tensor, std::uint16_t value) {
  constexpr std::uint32_t kBits[] = {0x7FC00000, 0x7F800000, 0xFF7FFFFF, 1, 0, 0x7F7FFFFF, 0xFFFFFFFF, 0x80000000};
  if (tensor.data.size() < 4) return;
  const std::size_t at = static_cast<std::size_t>(value / 8) * 4 % (tensor.data.size() - 3);
  std::memcpy(tensor.data.data() + at, &kBits[value % 8], 4);
}

void change(CheckpointCopy& copy, std::uint8_t what, std::size_t where, std::uint16_t value) {
  if (copy.tensors.empty()) return;
  TensorCopy& tensor = copy.tensors[where % copy.tensors.size()];
  switch (what % 8) {
    case 0:
      return copy.is_gguf() ? set_key(copy, where, value) : set_member(copy.config, where, value);
    case 1:
      if (json::object* object = inner(copy.config)) set_member(*object, where, value);
      return;
    case 2:
      return reshape(tensor, value);
    case 3:
      return poke(tensor, value);
    case 4:
      copy.tensors.erase(copy.tensors.begin() + static_cast<std::ptrdiff_t>(where % copy.tensors.size()));
      return;
    case 5:
      copy.tensors.push_back(tensor);
      copy.tensors.back().name += static_cast<char>('0' + value % 10);
      return;
    case 6:
      return std::swap(tensor.name, copy.tensors[value % copy.tensors.size()].name);
    default:
      if (copy.is_gguf())
        copy.keys.erase(std::next(copy.keys.begin(), static_cast<std::ptrdiff_t>(where % copy.keys.size())));
      else
        copy.config.erase(copy.config.begin() + static_cast<std::ptrdiff_t>(where % copy.config.size()));
  }
}

void run(const std::string& path) {
  constexpr minke::engine::TokenId kTokens[] = {1, 2, 200};
  try {
    const auto checkpoint = minke::formats::Checkpoint::open(path);
    minke::engine::Engine engine(*checkpoint, {.threads = 1, .context = 64, .memory_limit = 256 << 20, .chunk = 2});
    engine.logits(kTokens, 2, [](std::size_t, std::span<const float> row) {
      for (const float logit : row)
        if (!std::isfinite(logit)) std::abort();  // it must have been an Error(numeric)
      return true;
    });
  } catch (const minke::base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const minke::test::TempFolder folder(minke::test::TempFolder::Place::memory);
  if (size == 0 || size > 1 + 4 * 16) return 0;
  CheckpointCopy copy = base(data[0] % std::size(kBases));
  for (std::size_t i = 1; i + 4 <= size; i += 4)
    change(copy, data[i], data[i + 1], static_cast<std::uint16_t>(data[i + 2] | data[i + 3] << 8));
  // Both forms have names of their own, so nothing is left of the input before.
  run(copy.write(folder.path()));
  return 0;
}
