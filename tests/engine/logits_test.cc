// Every tiny checkpoint's logits beside Hugging Face transformers', and the same bits whatever the
// chunking, the threads and the instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/engine.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

namespace fs = std::filesystem;

struct Run {
  kernels::Numerics numerics = kernels::Numerics::exact;
  std::size_t chunk = 512;
  std::size_t threads = 2;
  std::optional<std::size_t> numa;
  std::optional<kernels::Isa> isa;
  std::optional<kernels::KvType> kv_type;
};

std::vector<float> run_logits(const std::string& path, const std::vector<std::int32_t>& ids, const Run& run) {
  const auto checkpoint = formats::Checkpoint::open(path);
  Engine engine(
      *checkpoint,
      {.threads = run.threads, .numa = run.numa, .isa = run.isa, .numerics = run.numerics, .kv_type = run.kv_type});
  std::vector<float> all;
  engine.logits(ids, run.chunk, [&](std::size_t, std::span<const float> row) {
    all.insert(all.end(), row.begin(), row.end());
    return true;
  });
  return all;
}

void expect_close(const std::vector<float>& got, const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  float largest = 0, difference = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(std::isfinite(got[i])) << what << " at " << i;
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(got[i] - expected[i]));
  }
  EXPECT_LE(difference, 2e-4f * largest) << what;
}

/// A copy of a tiny checkpoint (links to its files) whose config.json is the older spelling.
class OldSpelling {
 public:
  explicit OldSpelling(const std::string& name) {
    for (const auto& entry : fs::directory_iterator(test::tiny_folder(name)))
      if (entry.path().filename() != "config.json") fs::create_symlink(entry.path(), path_ / entry.path().filename());
    fs::copy_file(test::tiny_folder(name) + "/config.old.json", path_ / "config.json");
  }
  std::string path() const { return path_.string(); }

 private:
  test::TempFolder folder_;
  fs::path path_ = folder_.path();
};

class TinyCheckpoint : public testing::TestWithParam<std::string> {
 protected:
  std::string name() const { return GetParam(); }
  std::string folder() const { return test::tiny_folder(name()); }
  std::vector<std::int32_t> ids() const { return test::read_ids(folder() + "/ids.json"); }
  std::vector<float> expected() const { return test::read_floats(folder() + "/logits.f32"); }
};

TEST_P(TinyCheckpoint, SafetensorsAgreesWithTransformers) {
  expect_close(run_logits(folder(), ids(), {}), expected(), name());
}

TEST_P(TinyCheckpoint, OlderSpellingOfTheConfigGivesTheSameBits) {
  const OldSpelling old(name());
  EXPECT_EQ(run_logits(old.path(), ids(), {}), run_logits(folder(), ids(), {}));
}

TEST_P(TinyCheckpoint, GgufAgreesWithTransformers) {
  for (const std::string& path : test::tiny_ggufs(name())) expect_close(run_logits(path, ids(), {}), expected(), path);
}

TEST_P(TinyCheckpoint, ChunkingAndThreadsDoNotChangeABit) {
  for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast}) {
    const std::vector<float> whole = run_logits(folder(), ids(), {.numerics = numerics, .threads = 1});
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{65}})
      for (const std::size_t threads : {std::size_t{1}, std::size_t{2}, std::size_t{3}})
        EXPECT_EQ(run_logits(folder(), ids(), {.numerics = numerics, .chunk = chunk, .threads = threads}), whole)
            << name() << " " << to_string(numerics) << " chunk " << chunk << " threads " << threads;
  }
}

TEST_P(TinyCheckpoint, DividingAmongMemoryNodesDoesNotChangeABit) {
  const std::vector<float> whole = run_logits(folder(), ids(), {.numerics = kernels::Numerics::fast, .threads = 1});
  for (const std::size_t nodes : {std::size_t{2}, std::size_t{3}})
    EXPECT_EQ(
        run_logits(folder(), ids(), {.numerics = kernels::Numerics::fast, .chunk = 9, .threads = 3, .numa = nodes}),
        whole)
        << name() << " " << nodes << " nodes";
}

TEST_P(TinyCheckpoint, CacheOfBytesIsTheSameBitsEverywhereToo) {
  const engine::Run bytes{.numerics = kernels::Numerics::fast, .kv_type = kernels::KvType::q8};
  engine::Run reference = bytes;
  reference.isa = kernels::Isa::scalar;
  reference.threads = 1;
  std::vector<float> whole = run_logits(folder(), ids(), reference);
  for (const kernels::Isa isa : kernels::available_isas()) {
    reference.isa = isa;
    if (isa == kernels::Isa::amx) whole = run_logits(folder(), ids(), reference);  // matrix tiles round otherwise
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{65}}) {
      engine::Run run = bytes;
      run.isa = isa;
      run.threads = chunk == 1 ? 1 : 3;
      run.chunk = chunk;
      EXPECT_EQ(run_logits(folder(), ids(), run), whole) << name() << " " << to_string(isa) << " chunk " << chunk;
    }
  }
}

TEST_P(TinyCheckpoint, EveryInstructionSetGivesTheSameBits) {
  for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast}) {
    const std::vector<float> scalar = run_logits(folder(), ids(), {.numerics = numerics, .isa = kernels::Isa::scalar});
    for (const kernels::Isa isa : kernels::available_isas()) {
      if (isa == kernels::Isa::amx && numerics == kernels::Numerics::fast) continue;  // matrix tiles round otherwise
      EXPECT_EQ(run_logits(folder(), ids(), {.numerics = numerics, .isa = isa}), scalar)
          << name() << " " << to_string(numerics) << " " << to_string(isa);
    }
  }
}

// A BF16 cache and activations of eight bits change logits by rounding alone. The median over positions: where two
// experts are nearly equal, rounding may choose the other one, and that position's logits are another model's.
TEST_P(TinyCheckpoint, FastStaysNearTheReference) {
  const std::vector<float> got = run_logits(folder(), ids(), {.numerics = kernels::Numerics::fast});
  const std::vector<float> reference = expected();
  ASSERT_EQ(got.size(), reference.size());
  const std::size_t positions = ids().size(), vocabulary = reference.size() / positions;
  double all = 0;
  std::vector<double> errors(positions);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference = static_cast<double>(got[i]) - static_cast<double>(reference[i]);
    errors[i / vocabulary] += difference * difference;
    all += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
  }
  std::sort(errors.begin(), errors.end());
  const double mean = all / static_cast<double>(positions);
  // 0.0023 to 0.0134; where weights of BF16 meet activations of BF16 on matrix tiles, up to 0.0228.
  EXPECT_LE(std::sqrt(errors[positions / 2] / mean), 0.03) << name();
}

// Tails of every length: of four rows, of a block of 64 keys, of 128.
TEST(PromptLength, EveryOneGivesTheSameBits) {
  for (const char* name : {"deepseek_v3", "qwen3_yarn"}) {
    const auto checkpoint = formats::Checkpoint::open(test::tiny_folder(name));
    const std::vector<std::int32_t> ids = test::read_ids(test::tiny_folder(name) + "/ids.json");
    ASSERT_GE(ids.size(), 128u) << name;
    for (const auto numerics : {kernels::Numerics::exact, kernels::Numerics::fast}) {
      Engine engine(*checkpoint, {.threads = 2, .numerics = numerics});
      std::vector<std::vector<float>> rows;
      engine.logits(ids, ids.size(), [&](std::size_t, std::span<const float> row) {
        rows.emplace_back(row.begin(), row.end());
        return true;
      });
      for (std::size_t length = 1; length <= ids.size(); ++length)
        engine.logits(std::span(ids).first(length), length, [&](std::size_t i, std::span<const float> row) {
          if (i + 1 == length) {
            EXPECT_TRUE(std::ranges::equal(row, rows[i])) << name << " " << to_string(numerics) << " length " << length;
          }
          return true;
        });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TinyCheckpoint, testing::ValuesIn(test::tiny_names()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace minke::engine
