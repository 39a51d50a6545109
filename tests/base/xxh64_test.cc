#include "base/xxh64.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace minke::base {
namespace {

std::uint64_t of(std::string_view text, std::uint64_t seed = 0) {
  Xxh64 hash(seed);
  hash.update(std::as_bytes(std::span(text)));
  return hash.digest();
}

TEST(Xxh64, KnownValues) {
  // Of the reference implementation (the command xxhsum, the Python package xxhash).
  EXPECT_EQ(of(""), 0xEF46DB3751D8E999U);
  EXPECT_EQ(of("a"), 0xD24EC4F1A98C6E5BU);
  EXPECT_EQ(of("abc"), 0x44BC2CF5AD770999U);
  EXPECT_EQ(of("", 1), 0xD5AFBA1336A3BE4BU);
  EXPECT_EQ(of("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1U);
}

TEST(Xxh64, PiecesOfAnySizeGiveTheSame) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>(i * 37);
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t size = 1; size <= 70; ++size) {
    Xxh64 hash;
    for (std::size_t at = 0; at < bytes.size(); at += size)
      hash.update(bytes.subspan(at, std::min(size, bytes.size() - at)));
    EXPECT_EQ(hash.digest(), xxh64(bytes)) << size;
  }
}

}  // namespace
}  // namespace minke::base
