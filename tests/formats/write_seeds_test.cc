// The seeds of the fuzzers come from the same builders as the malformed files. To write them anew:
//   formats_tests --gtest_also_run_disabled_tests --gtest_filter='*WriteTheCorpus*'
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/cat.h"
#include "formats/file_builder.h"
#include "formats/hostile_cases.h"
#include "formats/tiled_builder.h"

namespace minke::formats::testing {
namespace {

using base::cat;

class Corpus {
 public:
  explicit Corpus(const std::string& target) : folder_(cat(MINKE_SOURCE_DIR, "/tests/fuzz/corpus/", target)) {
    std::filesystem::create_directories(folder_);
  }
  void add(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
  }
  /// Every `step`-th case that is small.
  void add_cases(const std::vector<HostileCase>& cases, const std::string& file, std::size_t step) const {
    for (std::size_t i = 0; i < cases.size(); i += step)
      if (const auto it = cases[i].files.find(file); it != cases[i].files.end() && it->second.size() < 4096)
        add(cat("malformed-", i), it->second);
  }

 private:
  std::string folder_;
};

std::string split_part(std::uint16_t number, const std::string& tensor) {
  GgufBuilder b;
  b.keys = {{"split.no", u16, raw(number)},
            {"split.count", u16, raw<std::uint16_t>(2)},
            {"split.tensors.count", i32, raw<std::int32_t>(2)}};
  b.tensors = {{tensor, {8}, 0, 0}};
  b.data_bytes = 32;
  return b.build();
}

TEST(Seeds, DISABLED_WriteTheCorpus) {
  const Corpus gguf("fuzz_gguf"), tensors("fuzz_safetensors"), json("fuzz_json"), config("fuzz_config"),
      checkpoint("fuzz_checkpoint");
  gguf.add("valid", small_gguf().build());
  gguf.add_cases(hostile_gguf_cases(), "m.gguf", 12);
  tensors.add("valid", small_safetensors());
  tensors.add_cases(hostile_safetensors_cases(), "model.safetensors", 6);
  json.add("valid", R"({"a":[1,-2,3.5e-6,NaN,-Infinity,"\u00e9\ud83d\ude00",true,null],"b":{"c":{}}})");
  json.add_cases(hostile_json_cases(), "config.json", 2);
  config.add("config", R"({"model_type":"llama","hidden_size":64,"rope_scaling":null,"rms_norm_eps":1e-06})");
  config.add("templates", R"({"chat_template":[{"name":"default","template":"{{ messages }}"}]})");
  config.add("index", R"({"metadata":{"total_size":0},"weight_map":{"a":"s.safetensors"}})");
  config.add_cases(hostile_index_cases(), "model.safetensors.index.json", 2);
  const std::string divider = "\n--8<--\n";
  const auto shard = [](const std::string& name) {
    return safetensors(cat(R"({")", name, R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"), 4);
  };
  // Even: a file. Odd: changes of a tiny model's (fuzz_tiled.cc), here of its first tiles.
  const Corpus tiled("fuzz_tiled");
  tiled.add("safetensors", cat("0", small_tiled().build().substr(0, 4096 + 256)));
  tiled.add("gguf", cat("0", small_tiled_gguf().build()));
  for (const char base : {'\1', '\3', '\5', '\7'}) {
    tiled.add(cat("unchanged-", base / 2), {base, '\0'});
    std::string changes(1, base);
    for (int i = 0; i < 32; ++i)
      for (const int byte : {i, 0x80 + i, i % 4 == 0 ? 1 : 0, 0xFF}) changes.push_back(static_cast<char>(byte));
    tiled.add(cat("weights-", base / 2), changes);
  }
  checkpoint.add("gguf", cat("0", split_part(0, "a"), divider, split_part(1, "b")));
  checkpoint.add("gguf-twice", cat("0", split_part(0, "a"), divider, split_part(1, "a")));
  checkpoint.add("safetensors", cat(R"(1{"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})", divider, shard("a"),
                                    divider, shard("b")));
  checkpoint.add("safetensors-swapped", cat(R"(1{"weight_map":{"a":"b.safetensors","b":"a.safetensors"}})", divider,
                                            shard("a"), divider, shard("b")));
}

}  // namespace
}  // namespace minke::formats::testing
