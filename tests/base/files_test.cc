#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/quote.h"
#include "base/read_file.h"
#include "support/temp_folder.h"

namespace minke::base {
namespace {

TEST(Quote, ShowsPlainTextAndEscapesTheRest) {
  EXPECT_EQ(quote_name("blk.0.attn_q.weight"), "'blk.0.attn_q.weight'");
  EXPECT_EQ(quote_name(""), "''");
  EXPECT_EQ(quote_name("\xE4\xBD\xA0\xE5\xA5\xBD"), "'\xE4\xBD\xA0\xE5\xA5\xBD'");
  EXPECT_EQ(quote_name("a\x1b[0m\n\x7f"), "'a\\x1b[0m\\x0a\\x7f'");
  EXPECT_EQ(quote_name("\xFF\xE4\xBD"), "'\\xff\\xe4\\xbd'");
  EXPECT_EQ(quote_name("\xC2\x9B"), "'\\xc2\\x9b'");           // a C1 control: CSI
  EXPECT_EQ(quote_name("\xE2\x80\xAE"), "'\\xe2\\x80\\xae'");  // right-to-left override
  EXPECT_EQ(quote_name(std::string(100, 'x')), "'" + std::string(100, 'x') + "'");
  EXPECT_EQ(quote_name(std::string(5000, 'x')), "'" + std::string(100, 'x') + "...'");
}

TEST(ReadFile, WholeFilesWithinTheLimit) {
  const test::TempFolder folder;
  const std::string content("a\0b\n", 4);
  const std::string path = folder.write("file", content), pipe = folder.file("pipe");
  EXPECT_EQ(read_file(path, 4), content);
  const auto code_of = [](const std::string& p, std::uint64_t limit) {
    try {
      read_file(p, limit);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::cancelled;
  };
  EXPECT_EQ(code_of(path, 3), ErrorCode::format);
  EXPECT_EQ(code_of(folder.file("none"), 3), ErrorCode::not_found);
  EXPECT_EQ(code_of(folder.path(), 3), ErrorCode::io);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code_of(pipe, 3), ErrorCode::io);
}

}  // namespace
}  // namespace minke::base
