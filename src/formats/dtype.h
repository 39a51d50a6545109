// Element types of tensors on disk: the safetensors names and the GGUF quantisations.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace minke::formats {

enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  f8_e4m3,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq3_xxs,
  iq3_s,
  mxfp4,
};

/// How a type is laid out: `block_bytes` bytes hold `block_elements` consecutive elements of a row.
struct DTypeInfo {
  std::string_view name;         ///< as users write it: "Q4_K", "BF16"
  std::uint32_t block_elements;  ///< 1 for plain types, 32 or 256 for quantised ones
  std::uint32_t block_bytes;
};

const DTypeInfo& info(DType type);

/// By the safetensors spelling ("F32", "BF16", "F8_E4M3"); nullopt when this program does not read it.
std::optional<DType> dtype_from_safetensors(std::string_view name);

/// By info().name; nullopt when there is none.
std::optional<DType> dtype_from_name(std::string_view name);

/// By ggml's type number; nullopt when this program does not read it.
std::optional<DType> dtype_from_ggml(std::uint32_t number);

/// ggml's type number; nullopt for a type that a GGUF cannot hold (F8_E4M3).
std::optional<std::uint32_t> ggml_number(DType type);

/// ggml's own name for a type number, for messages about types that are not read ("IQ2_XXS");
/// "unknown" when there is none.
std::string_view ggml_type_name(std::uint32_t number);

}  // namespace minke::formats
