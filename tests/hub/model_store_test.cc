#include "hub/model_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/error.h"
#include "hub/catalogue.h"
#include "hub/model_files.h"
#include "hub/near_names.h"
#include "support/temp_folder.h"

namespace minke::hub {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;

// A store in a temporary folder, beside a folder that is outside of it; the current folder is neither.
class ModelStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = base_ / "store";
    fs::create_directories(base_ / "outside");
    fs::create_directories(base_ / "current");
    before_ = fs::current_path();
    fs::current_path(base_ / "current");
  }
  void TearDown() override { fs::current_path(before_); }

  static void write(const fs::path& path, const std::string& text = "GGUF....") {
    if (path.has_parent_path()) {
      fs::create_directories(path.parent_path());
    }
    std::ofstream(path, std::ios::binary) << text;
  }

  template <typename Call>
  static Error error_of(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "expected an Error";
    return {ErrorCode::io, ""};
  }

  test::TempFolder folder_;
  fs::path base_ = folder_.path(), root_, before_;
};

TEST(StoreName, MapsToAFolderAndBack) {
  for (const char* name : {"smollm2", "qwen2.5-coder:1.5b", "a", "r1_distill:q4_k_m", "a.b-c_d:e.f", "console"}) {
    const auto parsed = parse_store_name(name);
    ASSERT_TRUE(parsed) << name;
    const std::string folder = folder_for_name(*parsed);
    EXPECT_EQ(folder.find(':'), std::string::npos);
    EXPECT_EQ(name_for_folder(folder), *parsed);
  }
  EXPECT_EQ(folder_for_name("qwen2.5-coder:1.5b"), "qwen2.5-coder@1.5b");
  EXPECT_EQ(parse_store_name("Qwen2.5-Coder:1.5B"), "qwen2.5-coder:1.5b");
}

TEST(StoreName, RefusesWhatSomeFileSystemCannotHold) {
  const std::string bad[] = {"",         ".",
                             "..",       "a/b",
                             "a:b:c",    ":a",
                             "a:",       "a@b",
                             ".a",       "a.",
                             "-a",       "a-",
                             "a b",      "a\\b",
                             "con",      "nul.x",
                             "com1",     "lpt9.gguf",
                             "aux",      "a*b",
                             "\xC3\xA9", "a?",
                             "a\nb",     "a|b",
                             "..:x",     std::string(101, 'a')};
  for (const std::string& name : bad) {
    EXPECT_FALSE(parse_store_name(name)) << name;
  }
  for (const char* folder : {"a:b", ".tmp", "A", "a@b@c", "a@", "con", ""}) {
    EXPECT_FALSE(name_for_folder(folder)) << folder;
  }
}

TEST(StoreRoot, FollowsTheXdgRules) {
  EXPECT_EQ(store_root("/m", "/x", "/h"), "/m");
  EXPECT_EQ(store_root("", "/x", "/h"), "/x/minke/models");
  EXPECT_EQ(store_root("", "relative", "/h"), "/h/.local/share/minke/models");
  EXPECT_EQ(store_root("", "", "/h"), "/h/.local/share/minke/models");
  EXPECT_EQ(store_root("", "", ""), "");
}

TEST(StoreRoot, WithoutAStoreAPathResolves) {
  const ModelStore store("");
  const std::string path = std::string(MINKE_SOURCE_DIR) + "/tests/golden/tiny_gguf/qwen2.gguf";
  EXPECT_EQ(store.resolve(path), path);
  for (const auto& attempt : std::vector<std::function<void()>>{
           [&] { (void)store.resolve("qwen2"); }, [&] { (void)store.resolve("user/repo"); },
           [&] { (void)store.list(); }, [&] { (void)store.remove("qwen2"); }, [&] { (void)store.root(); }}) {
    try {
      attempt();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::invalid_argument);
      EXPECT_NE(error.hint().find("MINKE_MODELS"), std::string::npos);
    }
  }
}

TEST(SplitNames, AreParsed) {
  const SplitName split = parse_split_name("m-00002-of-00003.gguf");
  EXPECT_EQ(split.part, 2U);
  EXPECT_EQ(split.parts, 3U);
  EXPECT_EQ(split.first, "m-00001-of-00003.gguf");
  for (const char* name : {"m.gguf", "-00001-of-00002.gguf", "m-00003-of-00002.gguf", "m-00000-of-00002.gguf",
                           "m-0001-of-00002.gguf", "m-000a1-of-00002.gguf", "m-00001-of-00002.gguf.x", ""}) {
    EXPECT_EQ(parse_split_name(name).part, 0U) << name;
  }
}

TEST(NearNames, RanksContainedFirst) {
  const std::vector<std::string> names = {"smollm2", "qwen2.5-coder:0.5b", "qwen2.5-coder:1.5b", "llama3:8b"};
  EXPECT_EQ(near_names("qwen2.5-coder", names), (std::vector<std::string>{"qwen2.5-coder:0.5b", "qwen2.5-coder:1.5b"}));
  EXPECT_EQ(near_names("smolm2", names), std::vector<std::string>{"smollm2"});
  EXPECT_EQ(near_names("SMOLLM", names), std::vector<std::string>{"smollm2"});
  EXPECT_TRUE(near_names("xyz", names).empty());
  EXPECT_TRUE(near_names(std::string(100'000, 'x'), names).empty());
}

TEST(Catalogue, EqualsTheTableOfTheFetchScript) {
  std::ifstream file(std::string(MINKE_SOURCE_DIR) + "/script/models.json");
  std::stringstream text;
  text << file.rdbuf();
  const boost::json::value table = boost::json::parse(text.str());
  const boost::json::array& models = table.at("models").as_array();
  ASSERT_EQ(models.size(), catalogue().size());
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string name(models[i].at("name").as_string());
    EXPECT_EQ(name, catalogue()[i].name);
    EXPECT_EQ(models[i].at("bytes").to_number<std::uint64_t>(), catalogue()[i].bytes);
    EXPECT_EQ(parse_store_name(name), name);
  }
}

TEST_F(ModelStoreTest, ResolvesStoreNames) {
  write(root_ / "qwen2.5-coder@1.5b" / "m.gguf");
  write(root_ / "qwen2.5-coder@1.5b" / ".minke.json", "{}");
  write(root_ / "split" / "m-00001-of-00002.gguf");
  write(root_ / "split" / "m-00002-of-00002.gguf");
  write(root_ / "hf" / "config.json", "{}");
  write(root_ / "hf" / "model.safetensors", "");
  write(root_ / "sharded" / "config.json", "{}");
  write(root_ / "sharded" / "model.safetensors.index.json", "");
  write(root_ / "sharded" / "model-00001-of-00001.safetensors", "");
  const ModelStore store(root_);
  EXPECT_EQ(store.resolve("qwen2.5-coder:1.5b"), (root_ / "qwen2.5-coder@1.5b" / "m.gguf").string());
  EXPECT_EQ(store.resolve("Qwen2.5-Coder:1.5B"), (root_ / "qwen2.5-coder@1.5b" / "m.gguf").string());
  EXPECT_EQ(store.resolve("split"), (root_ / "split" / "m-00001-of-00002.gguf").string());
  EXPECT_EQ(store.resolve("hf"), (root_ / "hf").string());
  EXPECT_EQ(store.resolve("sharded"), (root_ / "sharded").string());
}

TEST_F(ModelStoreTest, ResolvesPaths) {
  const fs::path outside = base_ / "outside";
  write(outside / "m.gguf");
  write(outside / "hf" / "config.json", "{}");
  write(outside / "hf" / "model.safetensors", "");
  write(outside / "blob", "GGUFxxxx");
  write("here.gguf");
  write("local/m.gguf");
  const ModelStore store(root_);
  EXPECT_EQ(store.resolve((outside / "m.gguf").string()), (outside / "m.gguf").string());
  EXPECT_EQ(store.resolve((outside / "hf").string()), (outside / "hf").string());
  EXPECT_EQ(store.resolve((outside / "blob").string()), (outside / "blob").string());
  EXPECT_EQ(store.resolve("here.gguf"), "here.gguf");
  EXPECT_EQ(store.resolve("local"), "local/m.gguf");
  EXPECT_EQ(store.resolve("./local"), "./local/m.gguf");
}

TEST_F(ModelStoreTest, TheStoreComesBeforeTheCurrentFolder) {
  write(root_ / "smollm2" / "m.gguf");
  write("smollm2/other.gguf");
  const ModelStore store(root_);
  EXPECT_EQ(store.resolve("smollm2"), (root_ / "smollm2" / "m.gguf").string());
  EXPECT_EQ(store.resolve("./smollm2"), "./smollm2/other.gguf");
}

TEST_F(ModelStoreTest, UnknownNamesSayWhatToRun) {
  write(root_ / "mine" / "m.gguf");
  const ModelStore store(root_);
  const Error known = error_of([&] { store.resolve("smollm2"); });
  EXPECT_EQ(known.code(), ErrorCode::not_found);
  EXPECT_EQ(known.hint(), "fetch it: minke pull smollm2; without a hub: script/fetch-model smollm2");
  const Error mistyped = error_of([&] { store.resolve("qwen2.5-codr:1.5b"); });
  EXPECT_NE(mistyped.hint().find("near: qwen2.5-coder:1.5b"), std::string::npos) << mistyped.hint();
  EXPECT_NE(mistyped.hint().find("minke pull qwen2.5-coder:1.5b"), std::string::npos) << mistyped.hint();
  EXPECT_NE(mistyped.hint().find("in the store: mine"), std::string::npos) << mistyped.hint();
  const Error strange = error_of([&] { store.resolve("no such thing"); });
  EXPECT_NE(strange.hint().find("--available"), std::string::npos) << strange.hint();
  const Error missing = error_of([&] { store.resolve("/no/such.gguf"); });
  EXPECT_EQ(missing.code(), ErrorCode::not_found);
  EXPECT_EQ(error_of([&] { store.resolve(""); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { store.resolve(std::string_view("a\0b", 3)); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { store.resolve(std::string(5000, 'x')); }).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of([&] { store.resolve("/" + std::string(5000, 'x')); }).code(), ErrorCode::io);
}

TEST_F(ModelStoreTest, RefusesWhatIsNoModel) {
  write("s/config.json", "{}");
  write("s/model.safetensors", "");
  write("two/a.gguf");
  write("two/b.gguf");
  write("both/a.gguf");
  write("both/config.json", "{}");
  write("both/model.safetensors", "");
  write("bare/config.json", "{}");
  write("later/m-00002-of-00003.gguf");
  write("pickle.bin", "\x80\x02");
  fs::create_directory("empty");
  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  const ModelStore store(root_);
  EXPECT_EQ(error_of([&] { store.resolve("s/model.safetensors"); }).hint(), "give the folder: s");
  const Error later = error_of([&] { store.resolve("later/m-00002-of-00003.gguf"); });
  EXPECT_EQ(later.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(later.hint(), "give the first: later/m-00001-of-00003.gguf");
  const Error two = error_of([&] { store.resolve("two"); });
  EXPECT_EQ(two.code(), ErrorCode::format);
  EXPECT_NE(two.message().find("a.gguf, b.gguf"), std::string::npos) << two.message();
  for (const char* folder : {"both", "bare", "later", "empty"}) {
    EXPECT_EQ(error_of([&] { store.resolve(folder); }).code(), ErrorCode::format) << folder;
  }
  EXPECT_EQ(error_of([&] { store.resolve("pickle.bin"); }).code(), ErrorCode::unsupported);
  EXPECT_EQ(error_of([&] { store.resolve("./pipe"); }).code(), ErrorCode::invalid_argument);
}

TEST_F(ModelStoreTest, ListsModels) {
  EXPECT_TRUE(ModelStore(root_).list().empty());
  write(root_ / "b@1" / "m.gguf", "GGUF");
  write(root_ / "a" / "config.json", "{}");
  write(root_ / "a" / "model.safetensors", "12345");
  write(root_ / "two" / "x.gguf");
  write(root_ / "two" / "y.gguf");
  write(root_ / "Not-A-Name" / "x.gguf");
  write(root_ / ".tmp" / "x.gguf");
  write(root_ / "file", "");
  fs::create_directory(root_ / "empty");
  const std::vector<StoredModel> models = ModelStore(root_).list();
  ASSERT_EQ(models.size(), 3U);
  EXPECT_EQ(models[0].name, "a");
  EXPECT_EQ(models[0].bytes, 7U);
  EXPECT_EQ(models[0].format, ModelFormat::safetensors);
  EXPECT_EQ(models[0].path, (root_ / "a").string());
  EXPECT_EQ(models[1].name, "b:1");
  EXPECT_EQ(models[1].format, ModelFormat::gguf);
  EXPECT_GT(models[1].modified, 1'600'000'000);
  EXPECT_EQ(models[2].name, "two");
  EXPECT_FALSE(models[2].problem.empty());
}

TEST_F(ModelStoreTest, RemovesOnlyInsideTheStore) {
  write(root_ / "a@1" / "m.gguf");
  write(root_ / "a@1" / "sub" / "x", "");
  write(base_ / "outside" / "m.gguf");
  const ModelStore store(root_);
  const std::string absolute = (base_ / "outside").string();
  for (const std::string& name : {std::string(".."), std::string("../outside"), absolute, std::string("."),
                                  std::string(""), std::string(".tmp"), std::string("a@1"), std::string("a:1/..")}) {
    EXPECT_EQ(error_of([&] { store.remove(name); }).code(), ErrorCode::invalid_argument) << name;
  }
  EXPECT_EQ(error_of([&] { store.remove("nothing"); }).code(), ErrorCode::not_found);
  EXPECT_EQ(store.remove("a:1").name, "a:1");
  EXPECT_FALSE(fs::exists(root_ / "a@1"));
  EXPECT_TRUE(fs::exists(base_ / "outside" / "m.gguf"));
  for (const auto& entry : fs::directory_iterator(root_ / ".tmp")) {
    EXPECT_TRUE(entry.path().extension() == ".lock") << entry.path();
  }
}

TEST_F(ModelStoreTest, RemoveDoesNotFollowLinks) {
  write(base_ / "outside" / "m.gguf");
  fs::create_directories(root_);
  fs::create_directory_symlink(base_ / "outside", root_ / "linked");
  const ModelStore store(root_);
  EXPECT_EQ(error_of([&] { store.remove("linked"); }).code(), ErrorCode::invalid_argument);
  // A link inside a model's folder: the link goes, what it points to stays.
  write(root_ / "real" / "m.gguf");
  fs::create_directory_symlink(base_ / "outside", root_ / "real" / "link");
  store.remove("real");
  EXPECT_TRUE(fs::exists(base_ / "outside" / "m.gguf"));
  EXPECT_FALSE(fs::exists(root_ / "real"));
  // The temporary folder is not followed out of the store either.
  fs::remove_all(root_ / ".tmp");
  fs::create_directory_symlink(base_ / "outside", root_ / ".tmp");
  write(root_ / "real" / "m.gguf");
  EXPECT_EQ(error_of([&] { store.remove("real"); }).code(), ErrorCode::invalid_argument);
  EXPECT_TRUE(fs::exists(root_ / "real" / "m.gguf"));
}

TEST_F(ModelStoreTest, RemoveWaitsForNoFetch) {
  write(root_ / "a" / "m.gguf");
  write(root_ / ".tmp" / "a.lock", "");
  const int lock = ::open((root_ / ".tmp" / "a.lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(lock, 0);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  const ModelStore store(root_);
  const Error error = error_of([&] { store.remove("a"); });
  EXPECT_EQ(error.code(), ErrorCode::io);
  EXPECT_NE(error.message().find("fetch"), std::string::npos);
  EXPECT_TRUE(fs::exists(root_ / "a" / "m.gguf"));
  ::close(lock);
  store.remove("a");
  EXPECT_FALSE(fs::exists(root_ / "a"));
}

}  // namespace
}  // namespace minke::hub
