// A tiled file gives the bits of what it was made of, and says so when it changes while it is in use.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "engine/engine.h"
#include "formats/tiled.h"
#include "models/convert.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

std::vector<float> logits_of(const std::string& path, const std::vector<std::int32_t>& ids, kernels::Numerics numerics,
                             kernels::Isa isa) {
  const auto checkpoint = formats::Checkpoint::open(path);
  Engine engine(*checkpoint, {.threads = 2, .isa = isa, .numerics = numerics});
  std::vector<float> all;
  engine.logits(ids, 16, [&](std::size_t, std::span<const float> row) {
    all.insert(all.end(), row.begin(), row.end());
    return true;
  });
  return all;
}

models::Converted convert(const std::string& from, const std::string& to, std::size_t threads = 2) {
  const auto source = formats::Checkpoint::open(from);
  base::ThreadPool pool(threads);
  return models::convert(*source, models::read_config(*source), to, pool, {});
}

class TiledFile : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> sources() const {
    std::vector<std::string> paths = test::tiny_ggufs(GetParam());
    paths.push_back(test::tiny_folder(GetParam()));
    return paths;
  }
  std::vector<std::int32_t> ids() const { return test::read_ids(test::tiny_folder(GetParam()) + "/ids.json"); }
};

TEST_P(TiledFile, GivesTheBitsOfItsSource) {
  for (const std::string& source : sources()) {
    const test::TempFolder folder;
    const std::string tiled = folder.file("m.minke");
    convert(source, tiled);
    for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast}) {
      for (const kernels::Isa isa : kernels::available_isas())
        EXPECT_EQ(logits_of(tiled, ids(), numerics, isa), logits_of(source, ids(), numerics, isa))
            << source << " " << to_string(numerics) << " " << to_string(isa);
    }
  }
}

TEST_P(TiledFile, IsTheSameForAnyThreads) {
  for (const std::string& source : sources()) {
    const test::TempFolder folder;
    convert(source, folder.file("a.minke"), 1);
    convert(source, folder.file("b.minke"), 3);
    EXPECT_EQ(test::read_text(folder.file("a.minke")), test::read_text(folder.file("b.minke"))) << source;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TiledFile, testing::ValuesIn(test::tiny_names()),
                         [](const auto& instance) { return instance.param; });

constexpr const char* kModel = "tiny_moe/deepseek_v3_fp8";

TEST(Tiled, TheEngineTellsThatWeightsAreMapped) {
  const test::TempFolder folder;
  convert(test::golden(kModel), folder.file("m.minke"));
  const auto tiled = formats::Checkpoint::open(folder.file("m.minke"));
  const auto source = formats::Checkpoint::open(test::golden(kModel));
  EXPECT_TRUE(Engine(*tiled, {.threads = 1}).info().weights_mapped);
  EXPECT_FALSE(Engine(*source, {.threads = 1}).info().weights_mapped);
}

TEST(Tiled, WeightsOutliveTheCheckpoint) {
  const test::TempFolder folder;
  convert(test::golden(kModel), folder.file("m.minke"));
  auto checkpoint = formats::Checkpoint::open(folder.file("m.minke"));
  Engine engine(*checkpoint, {.threads = 1});
  checkpoint.reset();
  const TokenId ids[] = {1, 2, 3};
  std::size_t rows = 0;
  engine.logits(ids, 3, [&](std::size_t, std::span<const float>) { return ++rows < 3; });
  EXPECT_EQ(rows, 3u);
}

// Mapped weights are no reason to refuse: they need not all be in memory.
TEST(Tiled, RunsInLessMemoryThanItsWeights) {
  const test::TempFolder folder;
  convert(test::golden(kModel), folder.file("m.minke"));
  const auto source = formats::Checkpoint::open(test::golden(kModel));
  const EngineOptions all{.threads = 1, .context = 64, .chunk = 1, .speculate = Speculate::off};
  const std::uint64_t weights = Engine(*source, all).info().weight_bytes;
  EngineOptions little = all;
  little.memory_limit = weights;
  EXPECT_THROW(Engine(*source, little), base::Error);
  const auto tiled = formats::Checkpoint::open(folder.file("m.minke"));
  EXPECT_EQ(Engine(*tiled, little).info().context, 64u);
}

// The lost pages read as zeros; what they made must not pass for an answer.
TEST(Tiled, AFileShortenedWhileItRunsEndsTheStep) {
  const test::TempFolder folder;
  const std::string path = folder.file("m.minke");
  convert(test::golden(kModel), path);
  const auto checkpoint = formats::Checkpoint::open(path);
  Engine engine(*checkpoint, {.threads = 1, .context = 64});
  std::filesystem::resize_file(path, 4096);
  const TokenId ids[] = {1, 2, 3};
  try {
    engine.logits(ids, 3, [](std::size_t, std::span<const float>) { return true; });
    FAIL() << "a shortened file gave logits";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::io);
    EXPECT_NE(error.message().find(path), std::string::npos) << error.message();
  }
}

// Bytes that nobody checked: tiles filled with every bit pattern must be computed with, not fallen over.
TEST(Tiled, AnyBytesAsWeightsAreComputedOrRefused) {
  for (const std::string& name : test::tiny_names()) {
    const test::TempFolder folder;
    const std::string path = folder.file("m.minke");
    convert(test::tiny_folder(name), path);
    const std::string good = test::read_text(path);
    const formats::TiledHeader header = formats::parse_tiled(std::as_bytes(std::span(good)), path);
    for (const int fill : {0xFF, 0x7F, 0x80, -1}) {
      std::string bad = good;
      std::uint32_t random = 1;
      for (const formats::TiledTensor& tensor : header.tensors) {
        if (tensor.layout != formats::TensorLayout::tiles) continue;
        for (std::size_t i = tensor.offset; i < tensor.offset + tensor.bytes; ++i) {
          random = random * 1664525u + 1013904223u;
          bad[i] = static_cast<char>(fill >= 0 ? fill : static_cast<int>(random >> 24));
        }
      }
      folder.write("m.minke", bad);
      const std::vector<std::int32_t> ids{1, 2, 3};
      for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast})
        for (const kernels::Isa isa : kernels::available_isas()) try {
            for (const float logit : logits_of(path, ids, numerics, isa)) ASSERT_TRUE(std::isfinite(logit)) << name;
          } catch (const base::Error& error) {
            EXPECT_EQ(error.code(), base::ErrorCode::numeric) << name << ": " << error.message();
          }
    }
  }
}

}  // namespace
}  // namespace minke::engine
