// Malformed tiled files. Their checksums are right unless that is the case's point: it is the rules that are tried.
#include <gtest/gtest.h>

#include "base/cat.h"
#include "base/error.h"
#include "formats/checkpoint.h"
#include "formats/hostile_cases.h"
#include "formats/tiled.h"
#include "formats/tiled_builder.h"

namespace minke::formats::testing {

namespace {

using base::cat;

constexpr std::uint64_t kMax = ~std::uint64_t{0}, kHuge = std::uint64_t{1} << 62;

class TiledCases {
 public:
  template <typename Change>
  void add(const std::string& name, const std::string& item, const Change& change) {
    TiledBuilder b = small_tiled();
    change(b);
    content(name, item, b.build());
  }
  template <typename Change>
  void gguf(const std::string& name, const std::string& item, const Change& change) {
    TiledBuilder b = small_tiled_gguf();
    change(b);
    content(name, item, b.build());
  }
  void content(const std::string& name, const std::string& item, std::string bytes) {
    cases_.push_back({"tiled: " + name, {{"m.minke", std::move(bytes)}}, "m.minke", item});
  }
  std::vector<HostileCase> take() { return std::move(cases_); }

 private:
  std::vector<HostileCase> cases_;
};

using B = TiledBuilder;

void fixed_cases(TiledCases& c) {
  c.add("another magic", "magic", [](B& b) { b.magic = "MINKE\n\n\x1a"; });
  c.add("line ends changed on the way", "magic", [](B& b) { b.magic = "MINKE\n\x1a\x01"; });
  c.content("a GGUF by a wrong name", "magic", small_gguf().build());
  for (const std::uint32_t version : {0u, 2u, 256u, 0xFFFFFFFFu, 0x01000000u})
    c.add(cat("version ", version), "version", [=](B& b) { b.version = version; });
  for (const std::uint32_t source : {2u, 0xFFFFFFFFu})
    c.add(cat("source ", source), "source", [=](B& b) { b.source = source; });
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{8191}, std::uint64_t{8193}, kHuge, kMax})
    c.add(cat("file size ", size), "file size", [=](B& b) { b.file_bytes = size; });
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{8193}, kHuge, kMax})
    c.add(cat("header size ", size), "header size", [=](B& b) { b.header_bytes = size; });
  c.add("a header that ends too early", "text 1", [](B& b) { b.header_bytes = 120; });
  c.add("a header that ends in a tensor", "tensor", [](B& b) { b.header_bytes = 200; });
  c.add("a header that ends too late", "header", [](B& b) { b.header_bytes = 1000; });
  for (const std::uint64_t count : {std::uint64_t{6}, std::uint64_t{1000}, kHuge, kMax})
    c.add(cat(count, " texts"), "text count", [=](B& b) { b.text_count = count; });
  for (const std::uint64_t count : {std::uint64_t{1} << 20, kHuge, kMax})
    c.add(cat(count, " tensors"), "tensor count", [=](B& b) { b.tensor_count = count; });
  c.add("one tensor too many", "tensor 3", [](B& b) { b.tensor_count = 4; });
  c.add("one tensor too few", "header", [](B& b) { b.tensor_count = 2; });
  c.add("a reserved field", "reserved", [](B& b) { b.reserved = 1; });
  c.add("a wrong checksum", "checksum", [](B& b) { b.checksum_off = 1; });
  for (const std::size_t at : {100u, 150u, 220u}) {
    std::string bytes = small_tiled().build();
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    c.content(cat("a bit at byte ", at), "checksum", bytes);
  }
  for (const std::size_t size : {1u, 7u, 8u, 11u, 15u, 23u, 63u, 64u, 300u, 4096u, 8191u})
    c.content(cat("cut at byte ", size), size < 8 ? "magic" : "at byte", small_tiled().build().substr(0, size));
  c.content("trailing bytes", "file size", small_tiled().build() + "x");
}

void text_cases(TiledCases& c) {
  c.add("no configuration", "config.json", [](B& b) { b.texts.erase(b.texts.begin()); });
  c.add("an empty configuration", "config.json", [](B& b) { b.texts[0].second.clear(); });
  c.add("no text at all", "config.json", [](B& b) { b.texts.clear(); });
  c.add("a text twice", "'config.json' is there twice", [](B& b) { b.texts.push_back(b.texts[0]); });
  for (const char* name : {"", "passwd", "../config.json", "Config.json", "metadata.gguf"})
    c.add(cat("a text called '", name, "'"), "text 1", [=](B& b) { b.texts[1].first = name; });
  for (const std::uint64_t length :
       {std::uint64_t{4000}, std::uint64_t{16} << 20, (std::uint64_t{16} << 20) + 1, kHuge, kMax})
    c.add(cat("texts of ", length), "text config.json", [=](B& b) { b.text_length = length; });
  for (const char* json : {"[]", "1", "{", "{\"a\":1,\"a\":2}", "\xFF", "{} x", "null"})
    c.add(cat("config.json is ", json), "config.json", [=](B& b) { b.texts[0].second = json; });
  c.add("tokenizer_config.json is a list", "tokenizer_config.json",
        [](B& b) { b.texts.emplace_back("tokenizer_config.json", "[]"); });
  c.add("a template that is a number", "chat_template", [](B& b) {
    b.texts[1] = {"tokenizer_config.json", R"({"chat_template":1})"};
  });
  c.gguf("no metadata", "metadata.gguf", [](B& b) { b.texts.clear(); });
  c.gguf("a GGUF's texts of safetensors", "text 0", [](B& b) { b.texts = {small_tiled().texts[0]}; });
  c.gguf("two texts", "text count", [](B& b) { b.texts.push_back(b.texts[0]); });
  c.gguf("metadata cut short", "metadata.gguf", [](B& b) { b.texts[0].second.resize(40); });
  c.gguf("metadata without GGUF's magic", "metadata.gguf", [](B& b) { b.texts[0].second[0] = 'X'; });
  c.gguf("metadata with tensors", "metadata.gguf", [](B& b) { b.texts[0].second = small_gguf().build(); });
  c.gguf("metadata with a tensor whose data is not there", "metadata.gguf", [](B& b) {
    GgufBuilder inner = small_gguf();
    inner.data_bytes = 0;
    b.texts[0].second = inner.build();
  });
}

void tensor_cases(TiledCases& c) {
  const auto tensor = [&](const std::string& name, std::size_t which, const auto& change,
                          const std::string& item = {}) {
    c.add(name, item.empty() ? cat("tensor '", small_tiled().tensors[which].name, "'") : item,
          [=](B& b) { change(b.tensors[which]); });
  };
  using T = B::Tensor;
  tensor(
      "a tensor without a name", 0, [](T& t) { t.name_length = 0; }, "tensor 0");
  tensor(
      "a name that is too long", 0, [](T& t) { t.name = std::string(257, 'n'); }, "tensor 0");
  tensor(
      "a name beyond the header", 2, [](T& t) { t.name_length = 200; }, "tensor 2");
  tensor(
      "the same name twice", 1, [](T& t) { t.name = "a"; }, "tensor 'a'");
  for (const char* type : {"", "f32", "Q4_2", "I8", "F64", "F32 ", "Q4_K_M_AND_SO_ON"})
    tensor(cat("type '", type, "'"), 2, [=](T& t) { t.type = type; });
  tensor("a type's name of 17 bytes", 2, [](T& t) { t.type = std::string(17, 'Q'); });
  for (const char* type : {"F16", "BF16", "Q8_0", "F8_E4M3"})
    tensor(cat("a plain ", type), 1, [=](T& t) { t.type = type; });
  for (const int layout : {2, 128, 255})
    tensor(cat("layout ", layout), 2, [=](T& t) { t.layout = static_cast<std::uint8_t>(layout); });
  for (const int dimensions : {0, 4, 255})
    tensor(cat(dimensions, " dimensions"), 1, [=](T& t) { t.dimensions = static_cast<std::uint8_t>(dimensions); });
  tensor("a matrix of one dimension", 2, [](T& t) { t.shape = {16}; });
  tensor("a dimension of 0", 1, [](T& t) { t.shape = {0}; });
  tensor("rows of 0", 2, [](T& t) { t.shape = {16, 0}; });
  tensor("shapes beyond 64 bits", 2, [](T& t) { t.shape = {kHuge, 4}; });
  tensor("bytes beyond 64 bits", 1, [](T& t) { t.shape = {kHuge}; });
  tensor("half a block of Q8_0", 2, [](T& t) { t.type = "Q8_0", t.shape = {16, 16}; });
  tensor("half a block of Q4_K", 2, [](T& t) { t.type = "Q4_K", t.shape = {16, 128}; });
  for (const std::uint64_t bytes : {0, 4, 31, 33, 36, 64})
    tensor(cat("a vector of 8 in ", bytes, " bytes"), 1, [=](T& t) { t.bytes = bytes; });
  for (const std::uint64_t offset : {1, 1056, 1089})
    tensor(cat("a vector at byte ", offset), 1, [=](T& t) { t.offset = offset; });
  for (const std::uint64_t offset : {64, 2048, 4160})
    tensor(cat("a matrix at byte ", offset), 2, [=](T& t) { t.offset = offset; });
  tensor("data in the header", 0, [](T& t) { t.offset = 0; });
  tensor("data at the header's end", 0, [](T& t) { t.offset = 64; });
  tensor("data behind the file", 2, [](T& t) { t.offset = 8192; });
  tensor("data to behind the file", 2, [](T& t) { t.bytes = 4097; });
  tensor("data that wrap", 2, [](T& t) { t.bytes = kMax - 4000; });
  tensor("an offset that wraps", 2, [](T& t) { t.offset = kMax - 4095; });
  tensor("a matrix without data", 2, [](T& t) { t.bytes = 0; });
  tensor(
      "vectors at one place", 1, [](T& t) { t.offset = 1024; }, "overlaps");
  c.add("vectors that overlap", "overlaps", [](B& b) { b.tensors[0].shape = {17}, b.tensors[0].bytes = 68; });
  c.add("a vector in a matrix", "overlaps", [](B& b) { b.tensors[1].offset = 4096 + 64; });
}

}  // namespace

std::vector<HostileCase> hostile_tiled_cases() {
  TiledCases cases;
  fixed_cases(cases);
  text_cases(cases);
  tensor_cases(cases);
  return cases.take();
}

namespace {

TEST(HostileTiled, ThereAreEnoughCases) { EXPECT_GE(hostile_tiled_cases().size(), 100u); }

TEST(HostileTiled, TheUnchangedFilesOpen) {
  const TempFolder folder;
  const auto checkpoint = Checkpoint::open(folder.write("m.minke", small_tiled().build()));
  EXPECT_TRUE(checkpoint->is_tiled());
  EXPECT_EQ(checkpoint->kind(), CheckpointKind::safetensors);
  EXPECT_EQ(checkpoint->chat_template(), "{{ messages }}");
  EXPECT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_FALSE(checkpoint->require("a").tiled);
  EXPECT_TRUE(checkpoint->require("w").tiled);
  const auto gguf = Checkpoint::open(folder.write("any-name", small_tiled_gguf().build()));
  EXPECT_EQ(gguf->kind(), CheckpointKind::gguf);
  EXPECT_EQ(gguf->metadata().find_uint("general.architecture"), 7u);
}

// With the checksum put right after each change, so that the parser behind it is met.
TEST(HostileTiled, EveryChangedByteIsTypedOrFine) {
  std::size_t fine = 0, refused = 0;
  for (const TiledBuilder& builder : {small_tiled(), small_tiled_gguf()}) {
    const std::string good = builder.build();
    std::uint64_t header;
    std::memcpy(&header, good.data() + 24, 8);
    for (std::size_t i = 0; i < header; ++i)
      for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
        std::string bytes = good;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        std::memcpy(&header, bytes.data() + 24, 8);
        builder.sign(bytes, header);
        std::memcpy(&header, good.data() + 24, 8);
        try {
          parse_tiled(std::as_bytes(std::span(bytes)), "m");
          ++fine;
        } catch (const base::Error&) {
          ++refused;
        }
      }
  }
  EXPECT_GT(fine, 0u);
  EXPECT_GT(refused, 0u);
}

TEST(Tiled, WhatIsWrittenIsRead) {
  TiledHeader header;
  header.source = TiledSource::gguf;
  header.texts = {{"metadata.gguf", "text"}};
  header.tensors = {{.name = "w",
                     .dtype = DType::q4_k,
                     .layout = TensorLayout::tiles,
                     .shape = {2, 16, 256},
                     .bytes = 5000,
                     .checksum = 7},
                    {.name = "v", .shape = {3}, .bytes = 12, .checksum = 8}};
  place_tiled(header);
  EXPECT_EQ(header.tensors[0].offset, 4096u);
  EXPECT_EQ(header.tensors[1].offset % 64, 0u);
  EXPECT_LT(header.tensors[1].offset, header.tensors[0].offset);  // vectors first
  std::string file = tiled_header_bytes(header);
  file.resize(header.file_bytes);
  const TiledHeader read = parse_tiled(std::as_bytes(std::span(file)), "m");
  EXPECT_EQ(read.source, TiledSource::gguf);
  EXPECT_EQ(read.text("metadata.gguf"), "text");
  EXPECT_EQ(read.text("config.json"), "");
  ASSERT_EQ(read.tensors.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.tensors[i].name, header.tensors[i].name);
    EXPECT_EQ(read.tensors[i].dtype, header.tensors[i].dtype);
    EXPECT_EQ(read.tensors[i].shape, header.tensors[i].shape);
    EXPECT_EQ(read.tensors[i].offset, header.tensors[i].offset);
    EXPECT_EQ(read.tensors[i].bytes, header.tensors[i].bytes);
    EXPECT_EQ(read.tensors[i].checksum, header.tensors[i].checksum);
  }
}

}  // namespace

}  // namespace minke::formats::testing
