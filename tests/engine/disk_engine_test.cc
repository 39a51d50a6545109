// The engine with a cache on disk: the same bits after a restart, for whom it is and for nobody else.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/disk_folder.h"
#include "support/golden.h"
#include "support/replies.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

namespace fs = std::filesystem;

std::vector<TokenId> tokens_of(std::size_t count, std::size_t seed, std::size_t vocab) {
  std::vector<TokenId> ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<TokenId>((i * i * 7 + i * 13 + seed * 101) % vocab);
  return ids;
}

class DiskEngine : public testing::Test {
 protected:
  std::unique_ptr<Engine> make(EngineOptions options = {}, const std::string& model = "qwen2") {
    checkpoint_ = formats::Checkpoint::open(test::tiny_folder(model));
    if (options.threads == 0) options.threads = 1;
    if (options.context == 0) options.context = 512;
    if (options.secret.empty()) options.secret = "a secret";
    options.cache_folder = folder_.file("kv");
    options.cache_least_free = 0;
    return std::make_unique<Engine>(*checkpoint_, options);
  }
  static Request request(const Engine& engine, std::size_t prompt, std::size_t seed = 1) {
    Request r;
    r.tokens = tokens_of(prompt, seed, engine.vocab_size());
    r.sampling.temperature = 0.9;
    r.sampling.seed = 5;
    r.max_tokens = 20;
    r.logprobs = 3;
    return r;
  }
  static std::size_t cached(const test::Collected& reply) { return reply.samples[0].end.usage.cached_tokens; }
  static void expect_same(const test::Collected& got, const test::Collected& expected) {
    ASSERT_EQ(got.samples[0].tokens, expected.samples[0].tokens);
    ASSERT_EQ(got.samples[0].logprobs, expected.samples[0].logprobs);
    for (std::size_t i = 0; i < got.samples[0].top.size(); ++i)
      ASSERT_EQ(got.samples[0].top[i].logprob, expected.samples[0].top[i].logprob);
  }

  test::TempFolder folder_;
  std::shared_ptr<const formats::Checkpoint> checkpoint_;
};

TEST_F(DiskEngine, ARestartGivesTheSameBits) {
  for (const char* model : {"qwen2", "deepseek_v3", "qwen3_moe"})
    for (const kernels::KvType type : {kernels::KvType::bf16, kernels::KvType::f32, kernels::KvType::q8}) {
      SCOPED_TRACE(base::cat(model, " ", kernels::to_string(type)));
      test::Collected cold;
      {
        const auto engine = make({.kv_type = type}, model);
        cold = test::run(*engine, request(*engine, 300));
        EXPECT_EQ(cached(cold), 0u);
      }
      {
        const auto engine = make({.threads = 2, .kv_type = type, .chunk = 50}, model);
        const test::Collected warm = test::run(*engine, request(*engine, 300));
        EXPECT_EQ(cached(warm), 256u);
        EXPECT_EQ(engine->health().disk_read, 4u);
        expect_same(warm, cold);
        EXPECT_EQ(cached(test::run(*engine, request(*engine, 300))), 256u) << "now from memory";
        EXPECT_EQ(engine->health().disk_read, 4u);
      }
      {
        // As much as there is, and the rest computed.
        const auto engine = make({.kv_type = type}, model);
        const test::Collected longer = test::run(*engine, request(*engine, 400));
        EXPECT_EQ(cached(longer), 256u);
        const auto fresh = make({.kv_type = type, .secret = "another"}, model);
        expect_same(longer, test::run(*fresh, request(*fresh, 400)));
      }
    }
}

TEST_F(DiskEngine, ItIsForWhoComputedItAndForNobodyElse) {
  const auto cached_with = [&](const std::string& salt, std::size_t shared, EngineOptions options = {}) {
    const auto engine = make(std::move(options));
    Request r = request(*engine, 300);
    r.salt = salt;
    r.shared_prefix = shared;
    return cached(test::run(*engine, std::move(r)));
  };
  EXPECT_EQ(cached_with("ours", 128), 0u);
  EXPECT_EQ(cached_with("theirs", 0), 0u) << "nothing of another tenant's";
  EXPECT_EQ(cached_with("third", 128), 128u) << "but what is shared";
  EXPECT_EQ(cached_with("ours", 128), 256u);
  EXPECT_EQ(cached_with("ours", 128, {.secret = "of another installation"}), 0u);
  EXPECT_EQ(cached_with("ours", 128, {.numerics = kernels::Numerics::exact}), 0u);
  EXPECT_EQ(cached_with("ours", 128, {.isa = kernels::Isa::scalar}), 0u);
  EXPECT_EQ(cached_with("ours", 128), 256u);
}

TEST_F(DiskEngine, WhatMemoryHasNoRoomForComesBack) {
  const auto engine = make({.sequences = 2, .cache_tokens = 512});
  std::vector<test::Collected> first;
  for (std::size_t i = 0; i < 6; ++i) first.push_back(test::run(*engine, request(*engine, 400, i)));
  EXPECT_GT(engine->health().evictions, 0u);
  for (std::size_t i = 0; i < 6; ++i) expect_same(test::run(*engine, request(*engine, 400, i)), first[i]);
  EXPECT_GT(engine->health().disk_read, 0u);
  test::expect_idle(*engine);
}

TEST_F(DiskEngine, DamageCostsAHitAndNothingElse) {
  test::Collected cold;
  {
    const auto engine = make();
    cold = test::run(*engine, request(*engine, 300));
  }
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder_.file("kv"))) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 4u);
  for (const std::string& file : files) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(700);
    stream.put('!');
  }
  std::atomic<int> warnings{0};
  const auto engine = make({.on_warning = [&](const std::string&) { ++warnings; }});
  const test::Collected again = test::run(*engine, request(*engine, 300));
  expect_same(again, cold);
  EXPECT_EQ(cached(again), 0u);
  EXPECT_EQ(warnings.load(), 1);
  EXPECT_EQ(engine->health().disk_refused, 1u);
}

TEST_F(DiskEngine, EnginesOfOneProcessKeepToOneLimit) {
  EngineOptions options;
  options.cache_folder = folder_.file("kv");
  options.cache_least_free = 0;
  options.cache_disk = 1'000'000;
  options.cache_shared = open_cache_folder(options);
  std::vector<std::shared_ptr<const formats::Checkpoint>> checkpoints;
  std::vector<std::unique_ptr<Engine>> engines;
  for (const char* model : {"qwen2", "deepseek_v3"}) {
    engines.push_back(make(options, model));
    checkpoints.push_back(checkpoint_);
  }
  std::uint64_t written = 0;
  for (std::size_t i = 0; i < 200 && written < 3 * options.cache_disk; ++i) {
    written = 0;
    for (const auto& engine : engines) {
      test::run(*engine, request(*engine, 300, i));
      written += engine->health().disk_written * engine->info().kv_bytes_per_token * kernels::kKvBlock;
    }
  }
  EXPECT_GE(written, 3 * options.cache_disk);
  engines.clear();  // writes what waits
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder_.file("kv")))
    bytes += (entry.file_size() + 4095) / 4096 * 4096;
  EXPECT_EQ(options.cache_shared->bytes(), bytes);
  EXPECT_LE(bytes, options.cache_disk);
  EXPECT_GE(bytes, options.cache_disk / 2);
}

TEST_F(DiskEngine, AFolderThatCannotBeIsWarnedOf) {
  folder_.write("kv", "a file");
  std::atomic<int> warnings{0};
  const auto engine = make({.on_warning = [&](const std::string&) { ++warnings; }});
  EXPECT_EQ(warnings.load(), 1);
  EXPECT_EQ(test::run(*engine, request(*engine, 100)).samples[0].tokens.size(), 20u);
}

TEST_F(DiskEngine, CancelledWhileItWaits) {
  {
    const auto engine = make();
    test::run(*engine, request(*engine, 400));
  }
  for (int i = 0; i < 30; ++i) {
    const auto engine = make();
    Reply reply = engine->submit(request(*engine, 400));
    if (i % 3 != 0) std::this_thread::sleep_for(std::chrono::microseconds(20 * i));
    if (i % 2 == 0) reply.cancel();
    if (i % 5 == 0) continue;  // the engine ends first
    const test::Collected all = test::collect(reply);
    EXPECT_TRUE(all.complete);
    test::expect_idle(*engine);
  }
}

}  // namespace
}  // namespace minke::engine
