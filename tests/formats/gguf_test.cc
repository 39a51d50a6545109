#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/cat.h"
#include "base/error.h"
#include "formats/file_builder.h"

namespace minke::formats {
namespace {

using namespace testing;

GgufHeader parse(const std::string& file) { return parse_gguf(std::as_bytes(std::span(file)), file.size(), "m.gguf"); }

std::string message_of(const auto& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.message();
  }
  return "no error";
}

TEST(Gguf, ReadsEveryValueType) {
  const GgufMetadata m = parse(small_gguf().build()).metadata;
  EXPECT_EQ(*m.find_string("general.architecture"), "llama");
  EXPECT_EQ(m.find_uint("general.alignment"), 32u);
  EXPECT_EQ(m.find_uint("test.u8"), 200u);
  EXPECT_EQ(m.find_int("test.i8"), -100);
  EXPECT_EQ(m.find_uint("test.u16"), 60000u);
  EXPECT_EQ(m.find_int("test.i16"), -30000);
  EXPECT_EQ(m.find_int("test.i32"), -2000000000);
  EXPECT_EQ(m.find_uint("test.u64"), ~std::uint64_t{0});
  EXPECT_EQ(m.find_int("test.i64"), -5);
  EXPECT_EQ(m.find_float("test.f32"), 0.5);
  EXPECT_EQ(m.find_float("test.f64"), 0.1);
  EXPECT_EQ(m.find_bool("test.bool"), true);
  EXPECT_EQ(std::get<std::vector<bool>>(m.values().at("test.bools")), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(m.find_ints("test.ints"), (std::vector<std::int64_t>{-1, 7}));
  EXPECT_EQ(m.find_ints("test.bytes"), (std::vector<std::int64_t>{1, 255}));
  EXPECT_EQ(m.find_floats("test.floats"), (std::vector<double>{1.5, -2}));
  EXPECT_EQ(m.find_strings("test.none")->size(), 0u);
  EXPECT_EQ(*m.find_strings("tokenizer.ggml.tokens"), (std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_EQ(m.source(), "m.gguf");
}

TEST(Gguf, TypedAccess) {
  const GgufMetadata m = parse(small_gguf().build()).metadata;
  EXPECT_FALSE(m.find_uint("absent").has_value());
  EXPECT_EQ(m.find_string("absent"), nullptr);
  EXPECT_FALSE(m.find_floats("absent").has_value());
  EXPECT_EQ(m.find_int("test.u8"), 200);
  EXPECT_EQ(m.find_float("test.i8"), -100.0);
  EXPECT_EQ(m.find_floats("test.ints"), (std::vector<double>{-1, 7}));
  EXPECT_EQ(message_of([&] { m.find_uint("test.i8"); }),
            "m.gguf: key 'test.i8': expected an integer of at least 0, got -100");
  EXPECT_EQ(message_of([&] { m.find_int("test.u64"); }),
            "m.gguf: key 'test.u64': expected an integer below 2^63, got 18446744073709551615");
  EXPECT_EQ(message_of([&] { m.find_uint("test.f32"); }),
            "m.gguf: key 'test.f32': expected an unsigned integer, got a float");
  EXPECT_EQ(message_of([&] { m.find_string("test.u8"); }),
            "m.gguf: key 'test.u8': expected a string, got an unsigned integer");
  EXPECT_EQ(message_of([&] { m.find_bool("test.u8"); }),
            "m.gguf: key 'test.u8': expected bool, got an unsigned integer");
  EXPECT_EQ(message_of([&] { m.find_strings("general.architecture"); }),
            "m.gguf: key 'general.architecture': expected an array of strings, got a string");
  EXPECT_EQ(message_of([&] { m.find_ints("test.floats"); }),
            "m.gguf: key 'test.floats': expected an array of integers, got an array of floats");
  EXPECT_EQ(message_of([&] { m.find_float("test.bool"); }), "m.gguf: key 'test.bool': expected a number, got bool");
}

TEST(Gguf, PlacesTensors) {
  const std::string file = small_gguf().build();
  const GgufHeader header = parse(file);
  ASSERT_EQ(header.tensors.size(), 3u);
  const std::uint64_t data = file.size() - 208;
  EXPECT_EQ(header.tensors[0].name, "a.weight");
  EXPECT_EQ(header.tensors[0].shape, (std::vector<std::uint64_t>{2, 4}));  // outermost first
  EXPECT_EQ(header.tensors[0].offset, data);
  EXPECT_EQ(header.tensors[0].bytes, 32u);
  EXPECT_EQ(header.tensors[1].ggml_type, 8u);
  EXPECT_EQ(header.tensors[1].bytes, 2u * 2 * 34);
  EXPECT_EQ(header.tensors[2].offset, data + 192);
}

TEST(Gguf, Version2AndOtherAlignments) {
  for (const std::uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    GgufBuilder b = small_gguf();
    b.version = 2;
    b.keys[1].value = raw(alignment);
    b.alignment = alignment;
    for (std::size_t i = 0; i < b.tensors.size(); ++i) b.tensors[i].offset = i * 4096;
    b.data_bytes = 2 * 4096 + 16;
    const std::string file = b.build();
    const GgufHeader header = parse(file);
    EXPECT_EQ(header.version, 2u);
    EXPECT_EQ(header.tensors[2].offset + 16, file.size());
  }
}

TEST(Gguf, MetadataAlone) {
  GgufBuilder b = small_gguf();
  b.tensors.clear();
  b.alignment = 1;  // no padding after the last key
  b.data_bytes = 0;
  EXPECT_EQ(parse(b.build()).tensors.size(), 0u);
}

TEST(Gguf, MessagesNameOffsetExpectedAndGot) {
  GgufBuilder b = small_gguf();
  const std::string good = b.build();
  const std::size_t row = good.find(gguf_string("c.weight")), data = good.size() - 208;
  b.tensors[2].type = 34;
  EXPECT_EQ(message_of([&] { parse(b.build()); }),
            base::cat("m.gguf: tensor 'c.weight' at byte ", row, ": type TQ1_0 (ggml number 34) is not read"));
  b = small_gguf();
  b.keys[1].value = raw<std::uint32_t>(33);
  EXPECT_EQ(message_of([&] { parse(b.build()); }), "m.gguf: key 'general.alignment': expected a power of two, got 33");
  b = small_gguf();
  b.tensors[2].offset = 160;
  EXPECT_EQ(message_of([&] { parse(b.build()); }),
            base::cat("m.gguf: tensor 'c.weight': its data at byte ", data + 160,
                      " overlaps tensor 'b.weight', which ends at byte ", data + 168));
}

TEST(Gguf, NamesCannotSteerATerminal) {
  GgufBuilder b = small_gguf();
  b.tensors[0].name = "\x1b[2J\xE2\x80\xAEname";
  b.tensors[0].type = 5;
  EXPECT_NE(message_of([&] { parse(b.build()); }).find("'\\x1b[2J\\xe2\\x80\\xaename'"), std::string::npos);
}

// A vocabulary as large as the largest known ones; the time is for a slow, busy machine with sanitizers.
TEST(Gguf, LargeVocabulariesAreFast) {
  std::string tokens, merges;
  const std::uint64_t count = 250000;
  for (std::uint64_t i = 0; i < count; ++i) {
    tokens += gguf_string(base::cat("token", i));
    merges += gguf_string(base::cat("some ", i, " merge ", i));
  }
  GgufBuilder b = small_gguf();
  b.keys.push_back({"tokenizer.ggml.merges", array, gguf_array(string, count, merges)});
  b.keys.back().key = "merges";
  b.keys.push_back({"tokens", array, gguf_array(string, count, tokens)});
  const std::string file = b.build();
  const std::clock_t start = std::clock();
  const GgufHeader header = parse(file);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  RecordProperty("milliseconds", static_cast<int>(seconds * 1e3));
  EXPECT_EQ(header.metadata.find_strings("tokens")->back(), "token249999");
  EXPECT_LT(seconds, 1.0);
}

}  // namespace
}  // namespace minke::formats
