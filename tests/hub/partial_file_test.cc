#include "hub/partial_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_folder.h"

namespace minke::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlock = PartialFile::kBlock;

class PartialFileTest : public ::testing::Test {
 protected:
  PartialFileTest() {
    data_.resize(2 * kBlock + 100);
    for (std::size_t i = 0; i < data_.size(); ++i) data_[i] = static_cast<char>(i * 7 + i / 1000);
    Hasher hasher(HashKind::sha256, data_.size());
    hasher.add(std::as_bytes(std::span(data_)));
    file_ = {.path = "x.gguf", .size = data_.size(), .hash = {HashKind::sha256, hasher.finish()}};
  }

  std::span<const std::byte> block(std::size_t i) const {
    const auto all = std::as_bytes(std::span(data_));
    return all.subspan(i * kBlock, std::min<std::size_t>(kBlock, all.size() - i * kBlock));
  }

  PartialFile open() const { return PartialFile(folder_.path(), file_); }
  fs::path at(const char* suffix) const { return fs::path(folder_.path()) / (file_.hash.digits + suffix); }

  static void change(const fs::path& path, std::streamoff offset, std::string_view text) {
    std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(offset);
    stream << text;
  }

  test::TempFolder folder_;
  std::string data_;
  RepoFile file_;
  bool sent_wrong_ = false;
};

TEST_F(PartialFileTest, GoesOnWhereItWas) {
  {
    PartialFile partial = open();
    EXPECT_EQ(partial.blocks(), 3U);
    partial.reserve();
    partial.write(2, block(2));
    partial.write(0, block(0));
  }
  PartialFile partial = open();
  EXPECT_TRUE(partial.has(0) && !partial.has(1) && partial.has(2));
  EXPECT_EQ(partial.bytes_here(), kBlock + 100);
  partial.write(1, block(1));
  EXPECT_TRUE(partial.finish({}, sent_wrong_));
  EXPECT_TRUE(PartialFile::is_done(folder_.path(), file_));
  EXPECT_FALSE(fs::exists(at(".part")) || fs::exists(at(".journal")));
}

TEST_F(PartialFileTest, ACutLineOrNoneEndsTheJournal) {
  {
    PartialFile partial = open();
    partial.reserve();
    partial.write(0, block(0));
    partial.write(1, block(1));
  }
  const auto size = fs::file_size(at(".journal"));
  fs::resize_file(at(".journal"), size - 3);
  {
    PartialFile partial = open();
    EXPECT_TRUE(partial.has(0) && !partial.has(1));
    partial.write(2, block(2));
  }
  {
    const PartialFile partial = open();
    EXPECT_TRUE(partial.has(0) && !partial.has(1) && partial.has(2));
  }
  std::ofstream(at(".journal"), std::ios::app) << "ffffffff 0000000000000000\nnonsense";
  EXPECT_TRUE(open().has(2));
  change(at(".journal"), 0, "x");  // another file's
  EXPECT_EQ(open().bytes_here(), 0U);
}

TEST_F(PartialFileTest, WithoutThePartTheJournalIsNothing) {
  {
    PartialFile partial = open();
    partial.reserve();
    partial.write(0, block(0));
  }
  fs::resize_file(at(".part"), 5);
  EXPECT_EQ(open().bytes_here(), 0U);
  EXPECT_FALSE(fs::exists(at(".part")));
}

TEST_F(PartialFileTest, DamagedBlocksAreDroppedAlone) {
  PartialFile partial = open();
  partial.reserve();
  for (std::size_t i = 0; i < 3; ++i) partial.write(i, block(i));
  change(at(".part"), static_cast<std::streamoff>(kBlock + 17), "damage");
  EXPECT_FALSE(partial.finish({}, sent_wrong_));
  EXPECT_FALSE(sent_wrong_);
  EXPECT_TRUE(partial.has(0) && !partial.has(1) && partial.has(2));
  EXPECT_TRUE(open().has(0) && !open().has(1) && open().has(2));
  partial.write(1, block(1));
  EXPECT_TRUE(partial.finish({}, sent_wrong_));
}

TEST_F(PartialFileTest, WrongBytesAreAllDropped) {
  PartialFile partial = open();
  partial.reserve();
  for (std::size_t i = 0; i < 3; ++i)
    partial.write(i, block(0).first(static_cast<std::size_t>(partial.block_bytes(i))));
  EXPECT_FALSE(partial.finish({}, sent_wrong_));
  EXPECT_TRUE(sent_wrong_);
  EXPECT_FALSE(fs::exists(at(".part")) || fs::exists(at(".done")));
  EXPECT_EQ(open().bytes_here(), 0U);
}

TEST_F(PartialFileTest, EmptyFiles) {
  file_.size = 0;
  file_.hash = {HashKind::git_blob, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"};  // Git's empty blob
  PartialFile partial = open();
  partial.reserve();
  EXPECT_TRUE(partial.finish({}, sent_wrong_));
}

}  // namespace
}  // namespace minke::hub
