#include "hub/gallery.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "hub/catalogue.h"
#include "hub/model_store.h"

namespace minke::hub {
namespace {

using base::Error;

TEST(Gallery, EveryNameMeansOneModel) {
  const Gallery gallery = Gallery::built_in();
  std::set<std::string> names;
  for (const GalleryEntry& entry : gallery.entries()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    for (const std::string& alias : entry.aliases) EXPECT_TRUE(names.insert(alias).second) << alias;
    EXPECT_FALSE(entry.license.empty() || entry.title.empty() || entry.quants.empty()) << entry.name;
    for (const std::string& quant : entry.quants) EXPECT_TRUE(bits_per_weight(quant)) << quant;
    EXPECT_EQ(gallery.find(entry.name)->entry, &entry);
  }
  EXPECT_GT(names.size(), 50U);
}

TEST(Gallery, HasWhatFetchModelFetches) {
  const Gallery gallery = Gallery::built_in();
  for (const CatalogueEntry& entry : catalogue()) EXPECT_TRUE(gallery.find(entry.name)) << entry.name;
}

TEST(Gallery, FindsByAliasAndQuantisation) {
  const Gallery gallery = Gallery::built_in();
  const auto found = [&](const char* text) {
    const auto hit = gallery.find(text);
    return hit ? hit->entry->name + "|" + hit->quant : "none";
  };
  EXPECT_EQ(found("r1:1.5b"), "deepseek-r1:1.5b|");
  EXPECT_EQ(found("R1:1.5B"), "deepseek-r1:1.5b|");
  EXPECT_EQ(found("r1:1.5b-q8_0"), "deepseek-r1:1.5b|Q8_0");
  EXPECT_EQ(found("smollm2:q8_0"), "smollm2|Q8_0");
  EXPECT_EQ(found("r1:1.5b-q9_9"), "none");
  EXPECT_EQ(found(""), "none");
  EXPECT_EQ(store_name_of(*gallery.find("r1:1.5b")->entry, "Q8_0"), "deepseek-r1:1.5b-q8_0");
  EXPECT_EQ(store_name_of(*gallery.find("smollm2")->entry, "Q8_0"), "smollm2:q8_0");
}

TEST(Gallery, EstimatesOfKnownFilesAreNear) {
  const Gallery gallery = Gallery::built_in();
  GalleryEntry entry = *gallery.find("qwen2.5-coder:1.5b")->entry;
  EXPECT_EQ(entry.bytes("Q4_K_M"), 1'117'320'768U);
  entry.files.clear();
  EXPECT_NEAR(static_cast<double>(*entry.bytes("Q4_K_M")), 1'117'320'768.0, 0.2 * 1'117'320'768.0);
  EXPECT_EQ(entry.bytes("Q9"), std::nullopt);
}

TEST(Gallery, LaterFilesTakeNames) {
  Gallery gallery = Gallery::built_in();
  const std::size_t before = gallery.entries().size();
  gallery.add(
      R"({"models": [{"name": "smollm2", "repo": "a/b"}, {"name": "mine", "aliases": ["r1:1.5b"], "repo": "a/c"}]})",
      "x");
  EXPECT_EQ(gallery.entries().size(), before + 1);
  EXPECT_EQ(gallery.find("smollm2")->entry->repo, "a/b");
  EXPECT_EQ(gallery.find("r1:1.5b")->entry->repo, "a/c");
  EXPECT_EQ(gallery.find("deepseek-r1:1.5b")->entry->source, "");
}

TEST(Gallery, Refusals) {
  for (const char* text :
       {"", "[]", "{}", R"({"models": 3})", R"({"models": [3]})", R"({"models": [{}]})",
        R"({"models": [{"name": "Ab", "repo": "a/b"}]})", R"({"models": [{"name": "a", "repo": "b"}]})",
        R"({"models": [{"name": "a", "repo": "a/b", "aliases": ["../x"]}]})",
        R"({"models": [{"name": "a", "repo": "a/b", "parameters": -1}]})",
        R"({"models": [{"name": "a", "repo": "a/b", "quants": "Q4"}]})",
        R"({"models": [{"name": "a", "repo": "a/b", "files": {"Q4": "x"}}]})"}) {
    Gallery gallery;
    EXPECT_THROW(gallery.add(text, "x"), Error) << text;
  }
}

}  // namespace
}  // namespace minke::hub
