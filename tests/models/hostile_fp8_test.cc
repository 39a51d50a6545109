// FP8 blocks whose scales contradict the weights, the configuration or arithmetic.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "models/hostile_checkpoint.h"
#include "models/loader.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::models::testing {

namespace {

namespace json = boost::json;

const std::string kFp8 = "tiny_moe/deepseek_v3_fp8";
const std::string kWeight = "model.layers.1.self_attn.kv_a_proj_with_mqa.weight", kScale = kWeight + "_scale_inv",
                  kExpert = "model.layers.1.mlp.experts.3.down_proj.weight",
                  kKvB = "model.layers.1.self_attn.kv_b_proj.weight";
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

using Cases = std::vector<HostileCheckpoint>;

HostileCheckpoint quantization(const std::string& key, const json::value& value) {
  return {base::cat("quantization_config.", key, " = ", json::serialize(value)), kFp8,
          [=](test::CheckpointCopy& c) { c.config["quantization_config"].as_object()[key] = value; },
          base::cat("quantization_config.", key)};
}

HostileCheckpoint retyped(const std::string& tensor, const std::string& dtype, std::size_t bytes) {
  return {base::cat(tensor, " as ", dtype), kFp8,
          [=](test::CheckpointCopy& c) {
            test::TensorCopy& changed = c.at(tensor);
            std::uint64_t count = 1;
            for (const std::uint64_t n : changed.shape) count *= n;
            changed.dtype = dtype;
            changed.data.resize(count * bytes);
          },
          tensor};
}

}  // namespace

Cases hostile_fp8_cases() {
  Cases cases;
  for (const std::string& tensor : {kScale, kExpert + "_scale_inv", kKvB + "_scale_inv"}) {
    cases.push_back(without(kFp8, tensor));
    cases.push_back(poked(kFp8, tensor, 0, kNan));
    cases.push_back(poked(kFp8, tensor, 1, kInf));
    cases.push_back(poked(kFp8, tensor, 1, -kInf));
    cases.push_back(retyped(tensor, "BF16", 2));
    cases.push_back(retyped(tensor, "F8_E4M3", 1));
    cases.push_back(retyped(tensor, "F8_E8M0", 1));  // the exponents alone, as later generations store them
    for (auto& one : {&cases[cases.size() - 6], &cases[cases.size() - 5], &cases[cases.size() - 4]})
      one->item = tensor.substr(0, tensor.rfind("_scale_inv"));  // values: the weight and its row are named
  }
  HostileCheckpoint too_large = poked(kFp8, kScale, 0, 0x1p120F);  // kernels take 256 times a scale
  too_large.item = kScale.substr(0, kScale.rfind("_scale_inv"));
  cases.push_back(too_large);
  // [148, 200]: 2 x 2 blocks, the last ones ragged.
  for (const std::vector<std::uint64_t>& shape :
       {std::vector<std::uint64_t>{1, 1}, {1, 2}, {2, 1}, {2, 3}, {3, 2}, {4}, {148, 2}, {2, 2, 1}, {148, 200}})
    cases.push_back(reshaped(kFp8, kScale, shape));
  cases.push_back(without(kFp8, kWeight));
  cases.push_back(retyped(kWeight, "F8_E5M2", 1));
  cases.push_back(retyped(kWeight, "I8", 1));
  cases.push_back({"a scale beside BF16 weights", kFp8, retyped(kWeight, "BF16", 2).change, kScale});
  cases.push_back(copied(kFp8, kScale, "model.layers.1.mlp.gate.weight_scale_inv"));
  HostileCheckpoint nan_weight{"an FP8 NaN", kFp8, {}, kExpert};
  nan_weight.change = [](test::CheckpointCopy& c) { c.at(kExpert).data[17] = '\x7F'; };
  cases.push_back(nan_weight);
  cases.push_back(retyped("model.layers.1.self_attn.kv_a_layernorm.weight", "F8_E4M3", 1));

  for (const json::value& block :
       {json::value{64, 64}, json::value{128, 64}, json::value{128}, json::value{128, 128, 1}, json::value{0, 128},
        json::value{-128, 128}, json::value(128), json::value("128")})
    cases.push_back(quantization("weight_block_size", block));
  cases.push_back(quantization("weight_block_size", nullptr));
  cases.push_back(quantization("fmt", "e5m2"));
  cases.push_back(quantization("fmt", 4));
  cases.push_back(quantization("quant_method", "compressed-tensors"));
  cases.push_back(quantization("quant_method", nullptr));
  cases.push_back(with_key(kFp8, "quantization_config", "fp8"));
  cases.push_back(with_key(kFp8, "quantization_config", json::array{}));
  return cases;
}

namespace {

float e4m3(std::uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const double value = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return static_cast<float>(bits >> 7 != 0 ? -value : value);
}

// Odd but legal scales multiply as they are: nothing is rounded to a power of two, flushed or inverted.
TEST(Fp8Scales, ZeroSubnormalNegativeAndPowersOfTwoMultiplyExactly) {
  for (const float scale : {0.0f, 1e-40f, -0.25f, 0x1p-7f, 0.3f, 120.0f}) {
    test::CheckpointCopy copy(test::golden(kFp8));
    copy.poke(kScale, 3, scale);  // rows 128 to 147, columns 128 to 199
    const test::TempFolder folder;
    const auto checkpoint = formats::Checkpoint::open(copy.write(folder.path()));
    base::ThreadPool pool(1);
    const DecoderWeights weights =
        load_weights(*checkpoint, read_config(*checkpoint), kernels::Numerics::exact, pool, {});
    constexpr std::size_t kRow = 130, kCols = 200;  // a row of the latent: the rotated ones begin at 136
    std::vector<float> row(kCols);
    std::get<MlaWeights>(weights.layers[1].attention).kv_a.weight.unpack_row(kRow, row);
    const std::string& bytes = copy.at(kWeight).data;
    for (std::size_t k = 128; k < kCols; ++k)
      ASSERT_EQ(row[k], e4m3(static_cast<std::uint8_t>(bytes[kRow * kCols + k])) * scale) << scale << " " << k;
  }
}

}  // namespace

}  // namespace minke::models::testing
