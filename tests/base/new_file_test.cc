#include "base/new_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "support/temp_folder.h"

namespace minke::base {
namespace {

namespace fs = std::filesystem;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(NewFile, AppearsWhenItIsComplete) {
  const test::TempFolder folder;
  const std::string path = folder.path() + "/a";
  NewFile file(path);
  file.reserve(100);
  file.set_size(8);
  file.write_at(5, "xyz");
  file.write_at(0, "ab");
  EXPECT_FALSE(fs::exists(path));
  file.commit();
  EXPECT_EQ(content(path), std::string("ab\0\0\0xyz", 8));
  EXPECT_FALSE(fs::exists(path + ".part"));
}

TEST(NewFile, LeavesNothingWithoutCommit) {
  const test::TempFolder folder;
  { NewFile(folder.path() + "/a").write_at(0, "abc"); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(NewFile, TakesNoNameThatIsTaken) {
  const test::TempFolder folder;
  const std::string path = folder.write("a", "mine");
  EXPECT_THROW(NewFile file(path), Error);
  fs::create_symlink("nowhere", folder.path() + "/link");
  EXPECT_THROW(NewFile file(folder.path() + "/link"), Error);
  EXPECT_THROW(NewFolder other(path), Error);
  EXPECT_EQ(content(path), "mine");
}

TEST(NewFile, RefusesAFolderThatIsNotThere) {
  const test::TempFolder folder;
  try {
    NewFile file(folder.path() + "/no/a");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found) << error.message();
  }
  EXPECT_THROW(free_disk_space(folder.path() + "/no/a"), Error);
  EXPECT_GT(free_disk_space(folder.path() + "/a"), 0u);
}

TEST(NewFolder, AppearsWhenItIsComplete) {
  const test::TempFolder folder;
  const std::string path = folder.path() + "/model";
  {
    const NewFolder unfinished(path + "/");
    NewFile file(unfinished.part() + "/x");
    file.commit();
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  NewFolder finished(path);
  EXPECT_THROW(NewFolder second(path), Error);  // the first is still being written
  finished.commit();
  EXPECT_TRUE(fs::is_directory(path));
  EXPECT_FALSE(fs::exists(path + ".part"));
}

}  // namespace
}  // namespace minke::base
