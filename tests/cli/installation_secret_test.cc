#include "cli/installation_secret.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/error.h"
#include "support/temp_folder.h"

namespace minke::cli {
namespace {

namespace fs = std::filesystem;

TEST(InstallationSecret, IsDrawnOnceAndKept) {
  const test::TempFolder folder, other;
  const std::string data = folder.file("share/minke");
  const std::string secret = installation_secret(data);
  EXPECT_EQ(secret.size(), 64u);
  EXPECT_EQ(installation_secret(data), secret);
  EXPECT_NE(installation_secret(other.path()), secret);
  EXPECT_EQ(fs::status(data + "/secret").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(std::distance(fs::directory_iterator(data), fs::directory_iterator()), 1) << "nothing else is left";
}

TEST(InstallationSecret, WhatOthersMayReadOrIsNoneIsRefused) {
  const test::TempFolder folder;
  installation_secret(folder.path());
  fs::permissions(folder.file("secret"), fs::perms::group_read, fs::perm_options::add);
  EXPECT_THROW(installation_secret(folder.path()), base::Error);
  for (const std::string& content : {std::string(), std::string(64, 'x'), std::string(63, 'a'), std::string(65, 'a')}) {
    folder.remove("secret");
    folder.write("secret", content);
    fs::permissions(folder.file("secret"), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_THROW(installation_secret(folder.path()), base::Error) << content;
  }
  folder.remove("secret");
  fs::create_directory(folder.file("secret"));
  EXPECT_THROW(installation_secret(folder.path()), base::Error);
}

}  // namespace
}  // namespace minke::cli
