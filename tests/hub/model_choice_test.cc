#include "hub/model_choice.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "hub/hub_name.h"

namespace minke::hub {
namespace {

using base::Error;

Repository repository(std::initializer_list<std::pair<const char*, std::uint64_t>> files) {
  Repository repo{.name = "user/repo", .commit = {}, .files = {}};
  for (const auto& [path, size] : files) repo.files.push_back({.path = path, .size = size, .hash = {}});
  return repo;
}

TEST(HubName, Forms) {
  const auto parsed = [](const char* text) {
    const auto name = parse_hub_name(text);
    return name ? name->repo + "|" + name->what + "|" + name->revision : "none";
  };
  EXPECT_EQ(parsed("user/repo"), "user/repo||");
  EXPECT_EQ(parsed("user/repo:Q4_K_M"), "user/repo|Q4_K_M|");
  EXPECT_EQ(parsed("hf.co/user/repo:folder/x.gguf"), "user/repo|folder/x.gguf|");
  EXPECT_EQ(parsed("https://huggingface.co/user/repo"), "user/repo||");
  EXPECT_EQ(parsed("https://mirror.example/user/repo"), "user/repo||");
  EXPECT_EQ(parsed("https://huggingface.co/user/repo/blob/main/a/x.gguf?download=true"), "user/repo|a/x.gguf|main");
  EXPECT_EQ(parsed("https://huggingface.co/user/repo/tree/v1"), "user/repo||v1");
  for (const char* text : {"", "name", "name:tag", "./a/b", "/a/b", "../a", "a/b/c", "a/b.gguf", "a/", "/a", "a/..",
                           "a b/c", "./b", "a/b:../x", "~/x", "https://huggingface.co/user", "-a/b"})
    EXPECT_EQ(parsed(text), "none") << text;
}

TEST(HubName, StoreNames) {
  EXPECT_EQ(store_name_of("Qwen/Qwen2.5-0.5B-GGUF", "Q4_K_M"), "qwen--qwen2.5-0.5b-gguf:q4_k_m");
  EXPECT_EQ(store_name_of("a/b", ""), "a--b");
  EXPECT_EQ(store_name_of("a/b_", ""), std::nullopt);
}

TEST(Quant, InNames) {
  EXPECT_EQ(quant_in_name("model-Q4_K_M.gguf"), "Q4_K_M");
  EXPECT_EQ(quant_in_name("qwen2.5-0.5b-instruct-q8_0.gguf"), "Q8_0");
  EXPECT_EQ(quant_in_name("x.IQ4_XS.gguf"), "IQ4_XS");
  EXPECT_EQ(quant_in_name("x-IQ1_M.gguf"), "IQ1_M");
  EXPECT_EQ(quant_in_name("R1-UD-Q2_K_XL-00001-of-00005.gguf"), "UD-Q2_K_XL");
  EXPECT_EQ(quant_in_name("x-BF16.gguf"), "BF16");
  EXPECT_EQ(quant_in_name("x_F16.gguf"), "F16");
  EXPECT_EQ(quant_in_name("model.gguf"), "");
  EXPECT_EQ(quant_in_name("Q8_0.gguf"), "");
  EXPECT_EQ(quant_in_name("xQ8_0.gguf"), "");
}

TEST(Variants, GroupsSplitFilesAndLeavesOutOthers) {
  const auto list = variants(repository({{"README.md", 1},
                                         {"m-Q8_0.gguf", 800},
                                         {"mmproj-m-F16.gguf", 5},
                                         {"BF16/m-BF16-00002-of-00002.gguf", 700},
                                         {"BF16/m-BF16-00001-of-00002.gguf", 900},
                                         {"half-Q4_0-00001-of-00002.gguf", 3}}));
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].quant, "Q8_0");
  EXPECT_EQ(list[1].quant, "BF16");
  EXPECT_EQ(list[1].bytes, 1600U);
  EXPECT_EQ(list[1].files[0].path, "BF16/m-BF16-00001-of-00002.gguf");
}

TEST(Variants, Safetensors) {
  const auto list = variants(repository({{"config.json", 1},
                                         {"model-00001-of-00002.safetensors", 10},
                                         {"model-00002-of-00002.safetensors", 10},
                                         {"model.safetensors.index.json", 2},
                                         {"tokenizer.json", 3},
                                         {"pytorch_model.bin", 20},
                                         {"consolidated.safetensors", 20},
                                         {"onnx/model.safetensors", 20}}));
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].bytes, 26U);
  EXPECT_THROW(variants(repository({{"config.json", 1}, {"pytorch_model.bin", 2}})), Error);
}

TEST(Choice, ByName) {
  const Repository repo = repository({{"a/m-Q8_0.gguf", 8}, {"m-Q4_K_M.gguf", 4}, {"b/n-Q8_0.gguf", 9}});
  EXPECT_EQ(choose_named(repo, "q4_k_m").files[0].path, "m-Q4_K_M.gguf");
  EXPECT_EQ(choose_named(repo, "n-Q8_0.gguf").bytes, 9U);
  EXPECT_EQ(choose_named(repo, "a/m-Q8_0.gguf").bytes, 8U);
  EXPECT_THROW(choose_named(repo, "Q8_0"), Error);  // two are
  EXPECT_THROW(choose_named(repo, "Q2_K"), Error);
}

TEST(Choice, Best) {
  const Repository repo = repository({{"m-Q8_0.gguf", 80},
                                      {"m-Q6_K.gguf", 60},
                                      {"m-Q4_K_M.gguf", 40},
                                      {"m-Q3_K_M.gguf", 30},
                                      {"m-IQ3_M.gguf", 29},
                                      {"m-Q2_K.gguf", 20},
                                      {"m-TQ1_0.gguf", 5}});
  std::string why;
  const auto chosen = [&why](const Repository& in, MemoryRoom room) { return choose_best(in, room, why).quant; };
  EXPECT_EQ(chosen(repo, {.bytes = 1000}), "Q4_K_M");
  EXPECT_EQ(why, "the usual compromise of size and quality, and it fits this machine");
  EXPECT_EQ(chosen(repo, {.bytes = 39}), "Q3_K_M");
  EXPECT_EQ(why, "the best that fits this machine; Q4_K_M does not");
  EXPECT_EQ(chosen(repo, {.bytes = 29}), "IQ3_M");
  EXPECT_EQ(chosen(repo, {.bytes = 28}), "Q2_K");
  EXPECT_EQ(chosen(repo, {.bytes = 10}), "Q2_K");  // ternary types are not read
  EXPECT_NE(why.find("too large"), std::string::npos) << why;
  const Repository two = repository({{"m-Q8_0.gguf", 80}, {"m-F16.gguf", 160}});
  EXPECT_EQ(chosen(two, {.bytes = 1000}), "Q8_0");
  // What the context takes, and what becomes of the weights in memory, count.
  EXPECT_EQ(chosen(repo, {.bytes = 50, .beside = 10}), "Q4_K_M");
  EXPECT_EQ(chosen(repo, {.bytes = 50, .beside = 11}), "Q3_K_M");
  EXPECT_EQ(chosen(repo, {.bytes = 50, .beside = 10, .weight_bytes = 1.1}), "Q3_K_M");
}

TEST(Choice, MemoryOfSizesThatCannotBe) {
  const MemoryRoom room{.bytes = 1000, .beside = UINT64_MAX, .weight_bytes = 1e30};
  EXPECT_GT(room.need(UINT64_MAX), UINT64_MAX / 32);
  EXPECT_EQ((MemoryRoom{.bytes = 0, .beside = 5, .weight_bytes = 2}).need(10), 25U);
}

}  // namespace
}  // namespace minke::hub
