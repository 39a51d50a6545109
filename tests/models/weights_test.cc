#include "models/weights.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "models/estimate.h"
#include "models/loader.h"
#include "support/golden.h"

namespace minke::models {
namespace {

TEST(Weights, EveryRoleHasItsOwnNames) {
  std::set<std::string> hf, gguf;
  const auto last = static_cast<int>(Role::shared_down);
  for (int role = 0; role <= last; ++role) {
    hf.insert(tensor_name(static_cast<Role>(role), 3, formats::CheckpointKind::safetensors));
    gguf.insert(tensor_name(static_cast<Role>(role), 3, formats::CheckpointKind::gguf));
  }
  EXPECT_EQ(hf.size(), static_cast<std::size_t>(last + 1));
  EXPECT_EQ(gguf.size(), static_cast<std::size_t>(last + 1));
  EXPECT_TRUE(hf.contains("model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(gguf.contains("blk.3.attn_q"));
}

class Loading : public testing::Test {
 protected:
  /// Loads tiny/llama under a configuration that `edit` changed; returns the message.
  template <typename Edit>
  std::string message_of(const Edit& edit) {
    const auto checkpoint = formats::Checkpoint::open(test::golden("tiny/llama"));
    DecoderConfig config = read_config(*checkpoint);
    edit(config);
    base::ThreadPool pool(1);
    try {
      load_weights(*checkpoint, config, kernels::Numerics::exact, pool, {});
    } catch (const base::Error& error) {
      return error.message();
    }
    return "no error";
  }
};

TEST_F(Loading, AWrongShapeNamesTensorExpectedAndGot) {
  const std::string message = message_of([](DecoderConfig& config) { config.feed_forward.intermediate_size += 1; });
  EXPECT_NE(message.find("model.layers.0.mlp.gate_proj.weight: expected ["), std::string::npos) << message;
  EXPECT_NE(message.find("got ["), std::string::npos) << message;
}

TEST_F(Loading, AMissingTensorIsNamed) {
  const std::string message = message_of([](DecoderConfig& config) {
    config.num_hidden_layers += 1;
    config.feed_forward.kinds.push_back(FeedForwardKind::dense);
  });
  EXPECT_NE(message.find("model.layers."), std::string::npos) << message;
}

TEST_F(Loading, ATensorThatNothingReadsIsRefused) {
  const std::string message = message_of([](DecoderConfig& config) { config.num_hidden_layers -= 1; });
  EXPECT_NE(message.find("has no place in architecture 'llama'"), std::string::npos) << message;
}

TEST(Measure, CountsParametersAsTheTensorsDo) {
  for (const std::string& name : test::tiny_names()) {
    const auto checkpoint = formats::Checkpoint::open(test::tiny_folder(name));
    const DecoderConfig config = read_config(*checkpoint);
    const ModelSizes sizes = measure(*checkpoint, config, kernels::Numerics::fast);
    // Multi-token prediction layers follow the decoder's and are not run.
    const std::string first_unused = "model.layers." + std::to_string(config.num_hidden_layers) + ".";
    std::uint64_t elements = 0, bytes = 0;
    for (const auto& tensor : checkpoint->tensors()) {
      if (tensor.name.starts_with(first_unused)) continue;
      if (!tensor.name.ends_with("_scale_inv")) elements += tensor.elements();  // no parameters of the model
      bytes += tensor.data.size();
    }
    EXPECT_EQ(sizes.parameters, elements) << name;
    EXPECT_EQ(sizes.file_bytes, bytes) << name;
    EXPECT_LE(sizes.active_parameters, sizes.parameters) << name;
  }
}

}  // namespace
}  // namespace minke::models
