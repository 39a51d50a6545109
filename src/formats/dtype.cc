#include "formats/dtype.h"

#include <array>
#include <cassert>

namespace minke::formats {
namespace {

// Indexed by DType. Sizes of the quantised blocks: ggml/src/ggml-common.h.
constexpr std::array<DTypeInfo, 24> kInfo{{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"F8_E4M3", 1, 1},
    {"Q4_0", 32, 2 + 16},
    {"Q4_1", 32, 4 + 16},
    {"Q5_0", 32, 2 + 4 + 16},
    {"Q5_1", 32, 4 + 4 + 16},
    {"Q8_0", 32, 2 + 32},
    {"Q2_K", 256, 16 + 64 + 4},
    {"Q3_K", 256, 32 + 64 + 12 + 2},
    {"Q4_K", 256, 4 + 12 + 128},
    {"Q5_K", 256, 4 + 12 + 32 + 128},
    {"Q6_K", 256, 128 + 64 + 16 + 2},
    {"IQ4_NL", 32, 2 + 16},
    {"IQ4_XS", 256, 2 + 2 + 4 + 128},
    {"IQ1_S", 256, 2 + 32 + 16},
    {"IQ1_M", 256, 32 + 16 + 8},
    {"IQ2_XXS", 256, 2 + 64},
    {"IQ2_XS", 256, 2 + 64 + 8},
    {"IQ2_S", 256, 2 + 64 + 8 + 8},
    {"IQ3_XXS", 256, 2 + 64 + 32},
    {"IQ3_S", 256, 2 + 64 + 8 + 32 + 4},
    {"MXFP4", 32, 1 + 16},
}};
static_assert(kInfo.size() == static_cast<std::size_t>(DType::mxfp4) + 1);

struct GgmlType {
  std::string_view name;
  std::optional<DType> type;
};

// Indexed by ggml's number (ggml.h, enum ggml_type); types that ggml removed keep their number.
constexpr std::array<GgmlType, 43> kGgmlTypes{{
    {"F32", DType::f32},
    {"F16", DType::f16},
    {"Q4_0", DType::q4_0},
    {"Q4_1", DType::q4_1},
    {"Q4_2 (removed from ggml)", {}},
    {"Q4_3 (removed from ggml)", {}},
    {"Q5_0", DType::q5_0},
    {"Q5_1", DType::q5_1},
    {"Q8_0", DType::q8_0},
    {"Q8_1", {}},
    {"Q2_K", DType::q2_k},
    {"Q3_K", DType::q3_k},
    {"Q4_K", DType::q4_k},
    {"Q5_K", DType::q5_k},
    {"Q6_K", DType::q6_k},
    {"Q8_K", {}},
    {"IQ2_XXS", DType::iq2_xxs},
    {"IQ2_XS", DType::iq2_xs},
    {"IQ3_XXS", DType::iq3_xxs},
    {"IQ1_S", DType::iq1_s},
    {"IQ4_NL", DType::iq4_nl},
    {"IQ3_S", DType::iq3_s},
    {"IQ2_S", DType::iq2_s},
    {"IQ4_XS", DType::iq4_xs},
    {"I8", {}},
    {"I16", {}},
    {"I32", {}},
    {"I64", {}},
    {"F64", {}},
    {"IQ1_M", DType::iq1_m},
    {"BF16", DType::bf16},
    {"Q4_0_4_4 (removed from ggml)", {}},
    {"Q4_0_4_8 (removed from ggml)", {}},
    {"Q4_0_8_8 (removed from ggml)", {}},
    {"TQ1_0", {}},
    {"TQ2_0", {}},
    {"IQ4_NL_4_4 (removed from ggml)", {}},
    {"IQ4_NL_4_8 (removed from ggml)", {}},
    {"IQ4_NL_8_8 (removed from ggml)", {}},
    {"MXFP4", DType::mxfp4},
    {"NVFP4", {}},
    {"Q1_0", {}},
    {"Q2_0", {}},
}};

}  // namespace

const DTypeInfo& info(DType type) {
  const auto index = static_cast<std::size_t>(type);
  assert(index < kInfo.size());
  return kInfo[index];
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  if (name == "F32") return DType::f32;
  if (name == "F16") return DType::f16;
  if (name == "BF16") return DType::bf16;
  if (name == "F8_E4M3") return DType::f8_e4m3;
  return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kInfo.size(); ++i)
    if (kInfo[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::optional<DType> dtype_from_ggml(std::uint32_t number) {
  return number < kGgmlTypes.size() ? kGgmlTypes[number].type : std::nullopt;
}

std::optional<std::uint32_t> ggml_number(DType type) {
  for (std::uint32_t number = 0; number < kGgmlTypes.size(); ++number)
    if (kGgmlTypes[number].type == type) return number;
  return std::nullopt;
}

std::string_view ggml_type_name(std::uint32_t number) {
  return number < kGgmlTypes.size() ? kGgmlTypes[number].name : "unknown";
}

}  // namespace minke::formats
