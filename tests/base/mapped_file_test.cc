#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "support/temp_folder.h"

namespace minke::base {
namespace {

class MappedFileTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) const { return folder_.write(name, content); }

  static ErrorCode code_of(const std::string& path) {
    try {
      MappedFile::open(path);
    } catch (const Error& error) {
      EXPECT_NE(error.message().find(path), std::string::npos) << error.message();
      return error.code();
    }
    ADD_FAILURE() << path << " opened";
    return ErrorCode::cancelled;
  }

  static unsigned sum(const MappedFile& file) {
    unsigned total = 0;
    for (const std::byte b : file.data()) total += std::to_integer<unsigned>(b);
    return total;
  }

  static std::size_t page() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

  test::TempFolder folder_;
};

TEST_F(MappedFileTest, HoldsTheBytes) {
  const std::string content = "0123456789 not a multiple of anything";
  const auto file = MappedFile::open(write("a", content));
  ASSERT_EQ(file->data().size(), content.size());
  EXPECT_EQ(std::memcmp(file->data().data(), content.data(), content.size()), 0);
  EXPECT_FALSE(file->damaged());
  file->check();
  file->will_need();
  file->release(file->data());
  EXPECT_EQ(std::memcmp(file->data().data(), content.data(), content.size()), 0);
}

TEST_F(MappedFileTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(code_of(folder_.file("missing")), ErrorCode::not_found);
  EXPECT_EQ(code_of(folder_.path()), ErrorCode::io);
  EXPECT_EQ(code_of(write("empty", "")), ErrorCode::io);
  const std::string pipe = folder_.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code_of(pipe), ErrorCode::io);
}

TEST_F(MappedFileTest, TruncationUnderTheMapGivesZerosAndAnError) {
  const std::string path = write("shrinks", std::string(16 * page(), '\1'));
  const std::string other_path = write("stays", std::string(4 * page(), '\1'));
  const auto file = MappedFile::open(path);
  const auto other = MappedFile::open(other_path);
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(3 * page() + 10)), 0);
  EXPECT_EQ(sum(*file), 3 * page() + 10);
  EXPECT_TRUE(file->damaged());
  try {
    file->check();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_NE(error.message().find(path), std::string::npos);
  }
  EXPECT_EQ(sum(*other), 4 * page());
  EXPECT_FALSE(other->damaged());
}

TEST_F(MappedFileTest, ManyThreadsMayFaultAtOnce) {
  const std::string path = write("shrinks", std::string(64 * page(), '\1'));
  const auto file = MappedFile::open(path);
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  std::vector<unsigned> totals(4, 1);
  std::vector<std::thread> threads;
  for (unsigned& total : totals) threads.emplace_back([&total, &file] { total = sum(*file); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(totals, std::vector<unsigned>(4, 0));
  EXPECT_TRUE(file->damaged());
}

TEST_F(MappedFileTest, ANewMapOfTheSlotStartsUndamaged) {
  const std::string path = write("a", std::string(2 * page(), '\1'));
  {
    const auto file = MappedFile::open(path);
    ASSERT_EQ(::truncate(path.c_str(), 1), 0);
    EXPECT_EQ(sum(*file), 1u);
    EXPECT_TRUE(file->damaged());
  }
  EXPECT_FALSE(MappedFile::open(path)->damaged());
}

using MappedFileDeathTest = MappedFileTest;

// A fault that is not ours keeps its default end.
TEST_F(MappedFileDeathTest, ForeignFaultsStillEndTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = write("foreign", std::string(2 * page(), '\1'));
  const std::string ours = write("ours", "x");
  EXPECT_EXIT(
      {
        struct sigaction standard {};
        standard.sa_handler = SIG_DFL;
        ::sigaction(SIGBUS, &standard, nullptr);
        const auto file = MappedFile::open(ours);
        FILE* foreign = std::fopen(path.c_str(), "r");
        const void* map = ::mmap(nullptr, 2 * page(), PROT_READ, MAP_PRIVATE, ::fileno(foreign), 0);
        if (::truncate(path.c_str(), 0) == 0) static_cast<void>(*static_cast<const volatile char*>(map));
        std::_Exit(0);
      },
      testing::KilledBySignal(SIGBUS), "");
}

// A fault that is not ours goes to the handler that was there before.
TEST_F(MappedFileDeathTest, ForeignFaultsReachThePreviousHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string ours = write("ours", "x");
  EXPECT_EXIT(
      {
        struct sigaction earlier {};
        earlier.sa_handler = [](int) { std::_Exit(77); };
        ::sigaction(SIGBUS, &earlier, nullptr);
        const auto file = MappedFile::open(ours);
        ::raise(SIGBUS);
        std::_Exit(0);
      },
      testing::ExitedWithCode(77), "");
}

}  // namespace
}  // namespace minke::base
