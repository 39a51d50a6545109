// Values that are finite in the file and not in the arithmetic: the step ends in a typed error.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/engine.h"
#include "support/checkpoint_copy.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

void expect_numeric(const std::string& base, const std::string& tensor, float value, bool everywhere = false) {
  test::CheckpointCopy copy(test::golden(base));
  const std::size_t count = everywhere ? copy.at(tensor).data.size() / sizeof(float) : 1;
  for (std::size_t i = 0; i < count; ++i) copy.poke(tensor, i, value);
  const test::TempFolder folder;
  const auto checkpoint = formats::Checkpoint::open(copy.write(folder.path()));
  for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast}) {
    Engine engine(*checkpoint, {.threads = 1, .numerics = numerics, .context = 64});
    const std::vector<TokenId> ids = {1, 2, 3};
    try {
      engine.logits(ids, 2, [](std::size_t, std::span<const float>) { return true; });
      ADD_FAILURE() << tensor << ": logits";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::numeric) << error.message();
    }
  }
}

TEST(HostileStep, OverflowIsATypedError) {
  expect_numeric("tiny_moe/deepseek_v3_fp8", "model.layers.1.self_attn.o_proj.weight_scale_inv", 1.3e36f);
  expect_numeric("tiny_moe/deepseek_v3", "model.layers.1.mlp.gate.weight", 3e38f, true);  // the router's scores
  expect_numeric("tiny_moe/deepseek_v3", "model.layers.0.mlp.down_proj.weight", 3e38f, true);
  expect_numeric("tiny_moe_gguf/deepseek_v3.gguf", "blk.1.attn_v_b.weight", 3e38f, true);
}

}  // namespace
}  // namespace minke::engine
