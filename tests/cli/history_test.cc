#include "cli/history.h"
#include "support/temp_folder.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace minke::cli {
namespace {

class HistoryFile : public testing::Test {
 protected:
  test::TempFolder folder_;
  std::string path_ = folder_.file("state/history");
};

using Entries = std::vector<std::string>;

TEST_F(HistoryFile, SurvivesAndIsPrivate) {
  {
    History history(path_, 10);
    EXPECT_TRUE(history.add("one"));
    EXPECT_TRUE(history.add("two\nlines \\n 你好"));
    EXPECT_FALSE(history.add("two\nlines \\n 你好"));
    EXPECT_FALSE(history.add(" \t"));
    EXPECT_EQ(history.problem(), "");
  }
  EXPECT_EQ(History(path_, 10).entries(), (Entries{"one", "two\nlines \\n 你好"}));
  struct stat status = {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(HistoryFile, TwoChatsAtOnceLoseNothing) {
  History a(path_, 10);
  History b(path_, 10);
  a.add("a");
  b.add("b");
  a.add("c");
  EXPECT_EQ(History(path_, 10).entries(), (Entries{"a", "b", "c"}));
}

TEST_F(HistoryFile, IsCutToItsLimit) {
  {
    History history(path_, 100);
    for (int i = 0; i < 20; ++i) history.add(std::to_string(i));
  }
  EXPECT_EQ(History(path_, 3).entries(), (Entries{"17", "18", "19"}));
  std::ifstream in(path_);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "17\n18\n19\n");
  History history(path_, 3);
  history.add("20");
  EXPECT_EQ(history.entries(), (Entries{"18", "19", "20"}));
}

TEST_F(HistoryFile, StrangeBytesAreRepaired) {
  History(path_, 10);
  std::ofstream(path_, std::ios::binary) << "\xff\xfe"
                                         << "a\n\n\\" << std::string(1, '\0') << "end";
  EXPECT_EQ(History(path_, 10).entries(), (Entries{"\uFFFD\uFFFDa", std::string("\0end", 4)}));
}

TEST_F(HistoryFile, WithoutAFileItStaysInMemoryAndSaysWhy) {
  std::ofstream(folder_.file("file")) << "x";
  History history(folder_.file("file/history"), 10);
  EXPECT_NE(history.problem(), "");
  EXPECT_TRUE(history.add("kept"));
  EXPECT_EQ(history.entries(), (Entries{"kept"}));
  History memory("", 10);
  memory.add("a");
  EXPECT_EQ(memory.problem(), "");
}

}  // namespace
}  // namespace minke::cli
