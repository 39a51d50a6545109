#include "synth/recipe.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace minke::synth {

namespace {

using base::cat;
using formats::DType;
using models::Role;

constexpr Recipe kRecipes[] = {
    {"f32", DType::f32, Mixture::f32},          {"f16", DType::f16, Mixture::f16},
    {"bf16", DType::bf16, Mixture::bf16},       {"fp8", DType::f8_e4m3, Mixture::pure},
    {"q4_0", DType::q4_0, Mixture::q4_0},       {"q4_1", DType::q4_1, Mixture::q4_1},
    {"q5_0", DType::q5_0, Mixture::q5_0},       {"q5_1", DType::q5_1, Mixture::q5_1},
    {"q8_0", DType::q8_0, Mixture::q8_0},       {"q2_k", DType::q2_k, Mixture::q2_k},
    {"q3_k_s", DType::q3_k, Mixture::q3_k_s},   {"q3_k_m", DType::q3_k, Mixture::q3_k_m},
    {"q3_k_l", DType::q3_k, Mixture::q3_k_l},   {"q4_k_s", DType::q4_k, Mixture::q4_k_s},
    {"q4_k_m", DType::q4_k, Mixture::q4_k_m},   {"q5_k_s", DType::q5_k, Mixture::q5_k_s},
    {"q5_k_m", DType::q5_k, Mixture::q5_k_m},   {"q6_k", DType::q6_k, Mixture::q6_k},
    {"iq4_nl", DType::iq4_nl, Mixture::iq4_nl}, {"iq4_xs", DType::iq4_xs, Mixture::iq4_xs},
    {"q3_k", DType::q3_k, Mixture::pure},       {"q4_k", DType::q4_k, Mixture::pure},
    {"q5_k", DType::q5_k, Mixture::pure},       {"iq1_s", DType::iq1_s, Mixture::pure},
    {"iq1_m", DType::iq1_m, Mixture::pure},     {"iq2_xxs", DType::iq2_xxs, Mixture::pure},
    {"iq2_xs", DType::iq2_xs, Mixture::pure},   {"iq2_s", DType::iq2_s, Mixture::pure},
    {"iq3_xxs", DType::iq3_xxs, Mixture::pure}, {"iq3_s", DType::iq3_s, Mixture::pure},
    {"mxfp4", DType::mxfp4, Mixture::pure},
};

bool is_plain(DType type) { return formats::info(type).block_elements == 1; }

/// The layers whose values and down projections get more bits: the first and last eighth, and every third between.
bool more_bits(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

bool is_down(Role role) { return role == Role::down || role == Role::expert_down || role == Role::shared_down; }

/// Query heads to a head of keys and values, as llama.cpp counts them (one of the latter with latent attention).
std::int64_t heads_per_kv(const models::DecoderConfig& config) {
  return config.attention.heads / std::max<std::int64_t>(config.attention.kv_heads, 1);
}

DType value_type(const Recipe& recipe, const models::DecoderConfig& config, std::int64_t layer) {
  const std::int64_t layers = config.num_hidden_layers;
  const bool wide = heads_per_kv(config) >= 4;
  DType type = recipe.base;
  switch (recipe.mixture) {
    case Mixture::q2_k:
      type = wide ? DType::q4_k : DType::q3_k;
      break;
    case Mixture::q3_k_m:
      type = layer < 2 ? DType::q5_k : DType::q4_k;
      break;
    case Mixture::q3_k_l:
      type = DType::q5_k;
      break;
    case Mixture::iq4_nl:
    case Mixture::iq4_xs:
      if (wide) type = DType::q5_k;
      break;
    case Mixture::q4_k_m:
    case Mixture::q5_k_m:
      if (more_bits(layer, layers)) type = DType::q6_k;
      break;
    case Mixture::q4_k_s:
      if (layer < 4) type = DType::q5_k;
      break;
    default:
      break;
  }
  // The 70B shapes share a head of values among eight heads of queries: worth the bits.
  const bool is_70b =
      config.num_hidden_layers == 80 && (config.architecture == "llama" || config.architecture == "qwen2");
  if (is_70b && (type == DType::q3_k || type == DType::q4_k)) type = DType::q5_k;
  return config.feed_forward.moe.n_routed_experts == 8 ? DType::q8_0 : type;
}

DType down_type(const Recipe& recipe, std::int64_t layer, std::int64_t layers) {
  switch (recipe.mixture) {
    case Mixture::q2_k:
      return DType::q3_k;
    case Mixture::q3_k_m:
      return layer < layers / 16 ? DType::q5_k : DType::q4_k;
    case Mixture::q3_k_l:
      return DType::q5_k;
    case Mixture::q4_k_m:
    case Mixture::q5_k_m:
      return more_bits(layer, layers) ? DType::q6_k : recipe.base;
    case Mixture::q4_k_s:
    case Mixture::iq4_nl:
    case Mixture::iq4_xs:
      return layer < layers / 8 ? DType::q5_k : recipe.base;
    default:
      return recipe.base;
  }
}

DType attention_output_type(const Recipe& recipe, bool eight_experts) {
  constexpr std::array kFewBits = {Mixture::q2_k,   Mixture::q3_k_s, Mixture::q3_k_m, Mixture::q4_k_s,
                                   Mixture::q4_k_m, Mixture::iq4_nl, Mixture::iq4_xs};
  if (eight_experts)
    return std::find(kFewBits.begin(), kFewBits.end(), recipe.mixture) != kFewBits.end() ? DType::q5_k : recipe.base;
  if (recipe.mixture == Mixture::q2_k) return DType::q3_k;
  if (recipe.mixture == Mixture::q3_k_m) return DType::q4_k;
  if (recipe.mixture == Mixture::q3_k_l) return DType::q5_k;
  return recipe.base;
}

DType wanted_type(const Recipe& recipe, const models::DecoderConfig& config, Role role, std::int64_t layer,
                  std::int64_t cols) {
  if (recipe.mixture == Mixture::pure) return recipe.base;
  if (role == Role::output || (role == Role::embedding && config.tie_word_embeddings)) {
    if (cols % formats::info(recipe.base).block_elements != 0 || recipe.base == DType::q8_0) return DType::q8_0;
    return DType::q6_k;
  }
  const bool eight_experts = config.feed_forward.moe.n_routed_experts == 8;
  if (role == Role::v) return value_type(recipe, config, layer);
  if (role == Role::k && eight_experts) return DType::q8_0;
  if (role == Role::o) return attention_output_type(recipe, eight_experts);
  return is_down(role) ? down_type(recipe, layer, config.num_hidden_layers) : recipe.base;
}

/// A type that fits the width, with about as many bits.
DType fitting(DType type, std::int64_t cols) {
  const auto divides = [cols](DType t) { return cols % formats::info(t).block_elements == 0; };
  if (divides(type)) return type;
  DType other = DType::f16;
  if (type == DType::q2_k || type == DType::q3_k) other = DType::q4_0;
  if (type == DType::q4_k) other = DType::q5_0;
  if (type == DType::q5_k) other = DType::q5_1;
  if (type == DType::q6_k) other = DType::q8_0;
  if (type >= DType::iq4_xs && type <= DType::iq3_s) other = DType::iq4_nl;
  return divides(other) ? other : DType::f16;
}

}  // namespace

const Recipe& find_recipe(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  for (const Recipe& recipe : kRecipes)
    if (recipe.name == lower) return recipe;
  std::string names;
  for (const Recipe& recipe : kRecipes) names += cat(names.empty() ? "" : ", ", recipe.name);
  throw base::Error(base::ErrorCode::invalid_argument, cat("type: expected one of ", names, ", got '", name, "'"));
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const Recipe& recipe : kRecipes) names.emplace_back(recipe.name);
  return names;
}

bool suits(const Recipe& recipe, formats::CheckpointKind kind) {
  if (kind == formats::CheckpointKind::gguf) return recipe.base != DType::f8_e4m3;
  return is_plain(recipe.base);
}

DType gguf_type(const Recipe& recipe, const models::DecoderConfig& config, Role role, std::int64_t layer,
                std::int64_t cols) {
  if (role == Role::router) return DType::f32;
  if (is_plain(recipe.base)) return recipe.base;
  return fitting(wanted_type(recipe, config, role, layer, cols), cols);
}

DType safetensors_type(const Recipe& recipe, Role role) {
  const bool kept = role == Role::embedding || role == Role::output || role == Role::router;
  return recipe.base == DType::f8_e4m3 && kept ? DType::bf16 : recipe.base;
}

}  // namespace minke::synth
