// Which type each tensor of a written checkpoint has: the recipes that published files are made by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/dtype.h"
#include "models/config.h"
#include "models/weights.h"

namespace minke::synth {

/// llama.cpp's mixtures by their number there (general.file_type), or what is none of them.
enum class Mixture : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q8_0 = 7,
  q5_0 = 8,
  q5_1 = 9,
  q2_k = 10,
  q3_k_s = 11,
  q3_k_m = 12,
  q3_k_l = 13,
  q4_k_s = 14,
  q4_k_m = 15,
  q5_k_s = 16,
  q5_k_m = 17,
  q6_k = 18,
  iq4_nl = 25,
  iq4_xs = 30,
  bf16 = 32,
  pure = 1024,  ///< every matrix of the one type, output and embedding too
};

struct Recipe {
  std::string_view name;  ///< as asked for: "q4_k_m"
  formats::DType base;    ///< of matrices that no rule is about
  Mixture mixture;
};

/// By name in either case; Error(invalid_argument) lists them.
const Recipe& find_recipe(std::string_view name);
std::vector<std::string> recipe_names();

/// Whether files of that kind can be made by it: F8_E4M3 is safetensors' alone, blocks of integers GGUF's.
bool suits(const Recipe& recipe, formats::CheckpointKind kind);

/// The type of a matrix of `cols` inputs in a GGUF, as llama.cpp's quantiser chooses without an importance matrix:
/// more bits for some tensors, and a type of 32 to a block where 256 do not divide the inputs.
formats::DType gguf_type(const Recipe& recipe, const models::DecoderConfig& config, models::Role role,
                         std::int64_t layer, std::int64_t cols);

/// The type of a matrix in a safetensors file. In FP8 checkpoints embedding, output and router stay BF16.
formats::DType safetensors_type(const Recipe& recipe, models::Role role);

}  // namespace minke::synth
