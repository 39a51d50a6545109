// Which names of requests mean which models.
#include "cli/served_models.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cli/command.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::cli {
namespace {

namespace fs = std::filesystem;

class ServedNames : public ::testing::Test {
 protected:
  ServedNames() {
    add("alpha");
    add("beta@1b");
  }
  /// Looking at names reads four bytes of a file.
  void add(const std::string& folder) const {
    fs::create_directories(fs::path(root_.path()) / folder);
    std::ofstream(fs::path(root_.path()) / folder / "model.gguf") << "GGUF and nothing that is looked at";
  }
  ServedModels models(std::vector<std::string> named, std::vector<std::string> aliases = {}, bool all = false) const {
    return ServedModels(
        hub::ModelStore(root_.path()),
        {.models = std::move(named), .aliases = std::move(aliases), .all = all, .chat = {}, .engine = {}});
  }
  static std::string name_of(const ServedModels& models, const std::string& asked) {
    const auto offer = models.find(asked);
    return offer ? offer->name : "none";
  }

  test::TempFolder root_;
};

TEST_F(ServedNames, ThoseOfTheCommandLineAlone) {
  const ServedModels served = models({"beta:1b"}, {"short", "long=beta:1b"});
  EXPECT_EQ(served.preferred(), "beta:1b");
  EXPECT_EQ(served.named().size(), 1u);
  ASSERT_EQ(served.offers().size(), 1u);
  EXPECT_EQ(served.offers()[0].aliases, (std::vector<std::string>{"short", "long"}));
  EXPECT_TRUE(served.offers()[0].stays);
  EXPECT_EQ(name_of(served, "short"), "beta:1b");
  EXPECT_EQ(name_of(served, "alpha"), "none");
}

TEST_F(ServedNames, AllOfTheStore) {
  const ServedModels served = models({"beta:1b"}, {"first=alpha"}, true);
  EXPECT_EQ(name_of(served, "ALPHA"), "alpha");
  EXPECT_EQ(name_of(served, "first"), "alpha");
  EXPECT_EQ(served.offers().size(), 2u);
  EXPECT_FALSE(served.find("alpha").value().stays);
  add("gamma");
  EXPECT_EQ(name_of(served, "gamma"), "gamma") << "it has come since";
  EXPECT_EQ(models({}, {}, true).preferred(), "");
}

/// Requests come from others: their names never reach the file system.
TEST_F(ServedNames, APathIsNoName) {
  const ServedModels served = models({}, {}, true);
  const fs::path file = fs::path(root_.path()) / "alpha" / "model.gguf";
  for (const std::string& asked : {file.string(), std::string("../alpha"), std::string("./alpha"), std::string("."),
                                   std::string("alpha/model.gguf"), std::string(), std::string("alpha\0x", 7)}) {
    EXPECT_EQ(name_of(served, asked), "none") << asked;
  }
}

TEST_F(ServedNames, APathOfTheCommandLineIsItsLastPart) {
  const fs::path file = fs::path(root_.path()) / "alpha" / "model.gguf";
  const ServedModels served = models({file.string()}, {}, true);
  EXPECT_EQ(name_of(served, "model"), "model");
  EXPECT_EQ(name_of(served, "alpha"), "model") << "the store's name means the same model, which is loaded once";
  EXPECT_EQ(served.offers().size(), 2u);
}

TEST_F(ServedNames, WhatDoesNotGoTogetherIsRefused) {
  EXPECT_THROW(models({}, {"x"}, true), UsageError);
  EXPECT_THROW(models({"alpha"}, {"x=beta:1b"}), UsageError) << "it is not served";
  EXPECT_THROW(models({"alpha"}, {"beta:1b=alpha"}, true), UsageError) << "a model has that name";
  EXPECT_THROW(models({"alpha"}, {"x="}), UsageError);
  EXPECT_THROW(models({"alpha"}, {"=alpha"}), UsageError);
  EXPECT_THROW(models({"delta"}), base::Error);
  const fs::path one = fs::path(root_.path()) / "alpha" / "model.gguf",
                 two = fs::path(root_.path()) / "beta@1b" / "model.gguf";
  EXPECT_THROW(models({one.string(), two.string()}), UsageError) << "both would be called model";
  EXPECT_EQ(models({"alpha", one.string()}).offers().size(), 1u) << "the same one twice";
}

TEST(ServedNamesOfNothing, AnEmptyStore) {
  const test::TempFolder empty;
  EXPECT_THROW(
      ServedModels(hub::ModelStore(empty.path()), {.models = {}, .aliases = {}, .all = true, .chat = {}, .engine = {}}),
      base::Error);
}

}  // namespace
}  // namespace minke::cli
