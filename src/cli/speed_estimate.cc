#include "cli/speed_estimate.h"

#include <algorithm>
#include <span>

#include "kernels/codec.h"

namespace minke::cli {
namespace {

/// What a layer takes beside reading its weights (attention over a few tokens, norms, threads that wait for each
/// other): 35 to 41 us with SmolLM2, Qwen2.5-0.5B and Qwen2.5-1.5B in Q8_0 on a Zen 4 with two threads.
constexpr double kLayerSeconds = 45e-6;
/// Of the read bandwidth, what products with one row reach (docs/performance.md: 93 to 109 %).
constexpr double kShareOfReading = 0.97;
/// Of the peak of products, what whole prompts of 512 tokens reach: 0.57 (1.5B, Q4_K_M) and 0.48 to 0.69
/// (DeepSeek-V2-Lite's shape), on a Zen 4 with AVX-512 VNNI (docs/performance.md).
constexpr double kShareOfPeak = 0.55;
/// Likewise of matrix tiles' 8-bit products (Granite Rapids class): 0.17 to 0.18 with blocks of 256 (1.5B, Q4_K_M),
/// 0.05 to 0.06 with scales per 32 inputs (0.5B, mostly Q5_0), 0.15 with weights of BF16 (0.5B), which FP8's products
/// reach nine tenths of.
constexpr double kShareOfTiles = 0.175, kShareOfTilesIn32 = 0.055, kShareOfHalves = 0.145;

/// Weights per second that a thread multiplies with one row, of types whose decoding takes longer than reading them;
/// the same processor. 0: as fast as they are read.
double decoding_rate(formats::DType dtype, kernels::Isa isa) {
  using formats::DType;
  const bool bytes =
      isa == kernels::Isa::amx;  // K-quants become bytes there: Q4_K and Q6_K as measured (Granite Rapids class)
  switch (dtype) {
    case DType::q2_k:
    case DType::q4_k:
      return bytes ? 21e9 : 0;
    case DType::q3_k:
    case DType::q5_k:
    case DType::q6_k:
      return bytes ? 16e9 : 0;
    case DType::iq1_s:
    case DType::iq2_xs:
    case DType::iq2_s:
    case DType::iq3_xxs:
      return 15e9;
    case DType::iq1_m:
      return 13e9;
    case DType::iq2_xxs:
      return 24e9;
    case DType::iq3_s:
      return 11e9;
    case DType::f8_e4m3:
      return 12e9;
    default:
      return 0;
  }
}

double seconds_of_weights(std::span<const models::TensorGroup> groups, const Limits& limits, std::size_t threads) {
  double seconds = 0;
  for (const models::TensorGroup& group : groups) {
    const double reading = static_cast<double>(group.bytes_per_token) / (kShareOfReading * limits.read_bandwidth);
    const double rate = decoding_rate(group.dtype, limits.isa) * static_cast<double>(threads);
    seconds += rate == 0 ? reading : std::max(reading, static_cast<double>(group.active_parameters) / rate);
  }
  return seconds;
}

/// The type that most of a layer's weights have.
const models::TensorGroup* largest_group(std::span<const models::TensorGroup> groups) {
  const models::TensorGroup* largest = nullptr;
  for (const models::TensorGroup& group : groups) {
    if (group.role == "embedding" || group.role == "output") continue;
    if (largest == nullptr || group.parameters > largest->parameters) largest = &group;
  }
  return largest;
}

double prefill_speed(const models::ModelSizes& sizes, const models::DecoderConfig& config, const Limits& limits,
                     kernels::Numerics numerics) {
  // The output matrix is for the last token alone.
  const auto output = static_cast<std::uint64_t>(config.vocab_size * config.hidden_size);
  const std::uint64_t products = sizes.active_parameters - std::min(sizes.active_parameters, output);
  const models::TensorGroup* most = largest_group(sizes.groups);
  if (most == nullptr || products == 0) return 0;
  const ArithmeticLimit limit = arithmetic_limit(limits, most->dtype, numerics);
  if (limits.isa == kernels::Isa::amx && numerics == kernels::Numerics::fast &&
      kernels::multiplies_as_halves(most->dtype))
    return kShareOfHalves * limits.peak.int8 / (2 * static_cast<double>(products));
  double share = kShareOfPeak;
  const kernels::CodecSpec* codec = kernels::find_codec(most->dtype);
  if (limits.isa == kernels::Isa::amx && codec != nullptr && limit.rate == limits.peak.int8)
    share = kernels::has_integer_blocks(*codec) ? kShareOfTiles : kShareOfTilesIn32;
  return share * limit.rate / (2 * static_cast<double>(products));
}

}  // namespace

SpeedEstimate estimate_speed(const models::ModelSizes& sizes, const models::DecoderConfig& config, const Limits& limits,
                             std::size_t threads, kernels::Numerics numerics) {
  SpeedEstimate estimate;
  if (sizes.bytes_per_token == 0) return estimate;
  estimate.decode_limit = limits.read_bandwidth / static_cast<double>(sizes.bytes_per_token);
  if (numerics != kernels::Numerics::fast) return estimate;
  estimate.decode = 1 / (seconds_of_weights(sizes.groups, limits, threads) +
                         kLayerSeconds * static_cast<double>(config.num_hidden_layers));
  estimate.prefill = prefill_speed(sizes, config, limits, numerics);
  return estimate;
}

}  // namespace minke::cli
