// Blocks on disk: what was written is found again, whole or not at all, whatever happened to the files, the disk or the
// process that wrote them.
#include "engine/disk_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "base/error.h"
#include "support/disk_blocks.h"
#include "support/golden.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

namespace fs = std::filesystem;
using test::chain_of;
using test::DiskBlock;
using test::DiskUser;

constexpr std::size_t kBytes = 3000;
/// A block takes this much of the disk.
constexpr std::uint64_t kPages = 4096;

DiskCacheOptions options_for(const test::TempFolder& folder, std::uint64_t bytes = 1 << 30) {
  return {.folder = folder.file("kv"), .bytes = bytes, .least_free = 0};
}

void expect_right(const DiskBlock& block, const std::vector<std::byte>& got) { EXPECT_EQ(got, block.data); }

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string file_of(const DiskCacheOptions& options, const DiskBlock& block) {
  return options.folder + "/" + DiskFolder::file_name(block.parent, block.name);
}

BlockKey key_of(const DiskBlock& block) {
  return {.fingerprint = test::digest_of("model"),
          .realm = block.realm,
          .parent = block.parent,
          .name = block.name,
          .tokens = block.tokens};
}

TEST(DiskBlockFormat, HoldsWhatItWasGiven) {
  const DiskBlock block = chain_of(1, 2, 256)[1];
  const DiskHeader header = disk_header(key_of(block), block.data);
  EXPECT_EQ(check_disk_block(header, block.data, key_of(block)), "");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(header.data()), 8), std::string("MINKEKV\0", 8));
  EXPECT_EQ(header[8], std::byte{2}) << "version";
  EXPECT_EQ(header[16], std::byte{0}) << "256 bytes: 0, 1, 0, ...";
  EXPECT_EQ(header[17], std::byte{1});
  EXPECT_EQ(std::memcmp(header.data() + 64, block.realm.data(), 32), 0);
  EXPECT_EQ(std::memcmp(header.data() + 168, block.tokens.data(), 256), 0);
}

TEST(DiskBlockFormat, AnyByteChangedIsNoticed) {
  DiskBlock block = chain_of(1, 1, 256)[0];
  const BlockKey key = key_of(block);
  DiskHeader header = disk_header(key, block.data);
  for (std::size_t i = 0; i < header.size() + block.data.size(); ++i)
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::byte& byte = i < header.size() ? header[i] : block.data[i - header.size()];
      byte ^= static_cast<std::byte>(change);
      EXPECT_NE(check_disk_block(header, block.data, key), "") << i;
      byte ^= static_cast<std::byte>(change);
    }
  EXPECT_EQ(check_disk_block(header, block.data, key), "");
}

TEST(DiskBlockFormat, AnotherBlockIsNotTakenForIt) {
  const DiskBlock block = chain_of(1, 2, 256)[1];
  const DiskHeader header = disk_header(key_of(block), block.data);
  const auto refused = [&](std::string_view why, const auto& change) {
    BlockKey key = key_of(block);
    change(key);
    EXPECT_EQ(check_disk_block(header, block.data, key), why);
  };
  refused("is another model's", [](BlockKey& key) { key.fingerprint[31] ^= std::byte{1}; });
  refused("is another tenant's", [](BlockKey& key) { key.realm[0] ^= std::byte{1}; });
  refused("is another block", [](BlockKey& key) { key.parent[0] ^= std::byte{1}; });
  refused("is another block", [](BlockKey& key) { key.name[31] ^= std::byte{1}; });
  refused("holds other tokens", [](BlockKey& key) { key.tokens[63] += 1; });
  EXPECT_EQ(check_disk_block(header, std::span(block.data).first(192), key_of(block)),
            "has another length than this model's blocks");
}

TEST(DiskCache, WhatIsWrittenIsThereAfterARestart) {
  const test::TempFolder folder;
  const auto chain = chain_of(1, 20, kBytes);
  {
    DiskUser user(options_for(folder), kBytes);
    EXPECT_EQ(user.load(chain, expect_right), 0u);
    user.offer_all(chain);
    user.close();
    EXPECT_TRUE(user.warnings().empty());
  }
  DiskUser user(options_for(folder), kBytes);
  EXPECT_EQ(user.load(chain, expect_right), 20u);
  EXPECT_EQ(user.load(chain_of(2, 3, kBytes), expect_right), 0u);
  const std::vector<DiskBlock> rest(chain.begin() + 5, chain.end());
  EXPECT_EQ(user.load(rest, expect_right), 15u) << "from a block in memory on";
  EXPECT_EQ(user.cache().stats().read, 35u);
  EXPECT_EQ(fs::status(folder.file("kv")).permissions() & fs::perms::all, fs::perms::owner_all);
}

TEST(DiskCache, AnotherTenantOrModelFindsNothing) {
  const test::TempFolder folder;
  const auto chain = chain_of(1, 3, kBytes);
  DiskUser(options_for(folder), kBytes).offer_all(chain);
  DiskUser tenant(options_for(folder), kBytes);
  EXPECT_EQ(tenant.load(chain_of(1, 3, kBytes, "theirs"), expect_right), 0u);
  EXPECT_EQ(tenant.load(chain, expect_right), 3u);
  // Its realm would differ, too: here only what the file itself says.
  DiskUser model(options_for(folder), kBytes, "another");
  EXPECT_EQ(model.load(chain, expect_right), 0u);
  model.close();
  ASSERT_EQ(model.warnings().size(), 1u);
  EXPECT_NE(model.warnings()[0].find("another model's"), std::string::npos);
}

TEST(DiskCache, DamagedFilesAreToldOfOnceAndRemoved) {
  const auto chain = chain_of(1, 1, kBytes);
  const auto expect_refused = [&](const std::string& what, const auto& damage) {
    SCOPED_TRACE(what);
    const test::TempFolder folder;
    const DiskCacheOptions options = options_for(folder);
    DiskUser(options, kBytes).offer_all(chain);
    const std::string file = file_of(options, chain[0]);
    ASSERT_TRUE(fs::exists(file));
    damage(file);
    DiskUser user(options, kBytes);
    EXPECT_EQ(user.load(chain, expect_right), 0u);
    EXPECT_EQ(user.load(chain, expect_right), 0u);
    EXPECT_EQ(user.cache().stats().refused, 1u);
    EXPECT_FALSE(fs::exists(file));
    user.offer_all(chain);
    EXPECT_TRUE(user.cache().stats().refused == 1u);
    user.close();
    EXPECT_EQ(user.warnings().size(), 1u);
    DiskUser again(options, kBytes);
    EXPECT_EQ(again.load(chain, expect_right), 1u) << "it was written anew";
  };
  expect_refused("empty", [](const std::string& file) { fs::resize_file(file, 0); });
  expect_refused("shorter", [](const std::string& file) { fs::resize_file(file, kDiskHeader + kBytes - 1); });
  expect_refused("longer", [](const std::string& file) { fs::resize_file(file, kDiskHeader + kBytes + 1); });
  expect_refused("header alone", [](const std::string& file) { fs::resize_file(file, kDiskHeader); });
  expect_refused("zeros", [](const std::string& file) {
    fs::resize_file(file, 0);
    fs::resize_file(file, kDiskHeader + kBytes);
  });
}

TEST(DiskCache, EveryByteOfAFileCounts) {
  const test::TempFolder folder(test::TempFolder::Place::memory);
  const DiskCacheOptions options = options_for(folder);
  const auto chain = chain_of(1, 1, 64);
  DiskUser(options, 64).offer_all(chain);
  const std::string good = test::read_text(file_of(options, chain[0]));
  ASSERT_EQ(good.size(), kDiskHeader + 64);
  DiskUser user(options, 64);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    std::ofstream(file_of(options, chain[0]), std::ios::binary) << bad;
    ASSERT_EQ(user.load(chain, expect_right), 0u) << i;
  }
  EXPECT_EQ(user.cache().stats().refused, good.size());
}

TEST(DiskCache, LinksAndOddFilesAreNotFollowed) {
  const test::TempFolder folder;
  const DiskCacheOptions options = options_for(folder);
  const auto chain = chain_of(1, 2, kBytes);
  DiskUser(options, kBytes).offer_all(chain);
  const std::string file = file_of(options, chain[0]);
  fs::rename(file, folder.file("elsewhere"));
  fs::create_symlink(folder.file("elsewhere"), file);
  DiskUser link(options, kBytes);
  EXPECT_EQ(link.load(chain, expect_right), 0u);
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  DiskUser pipe(options, kBytes);
  EXPECT_EQ(pipe.load(chain, expect_right), 0u);
}

TEST(DiskCache, StaysWithinItsSize) {
  const test::TempFolder folder;
  const DiskCacheOptions options = options_for(folder, 20 * kPages);
  folder.write("kv/notes.txt", "not ours");
  fs::permissions(folder.file("kv"), fs::perms::owner_all);
  {
    DiskUser user(options, kBytes);
    for (int i = 0; i < 10; ++i) {
      user.offer_all(chain_of(i, 7, kBytes));
      std::uint64_t bytes = 0;
      for (const std::string& file : files_in(options.folder)) bytes += file == "notes.txt" ? 0 : kPages;
      EXPECT_LE(bytes, options.bytes);
    }
  }
  const auto files = files_in(options.folder);
  EXPECT_LE(files.size(), 21u);
  EXPECT_GE(files.size(), 12u) << "room is not made beyond need";
  EXPECT_TRUE(fs::exists(options.folder + "/notes.txt"));
  DiskUser user(options, kBytes);
  EXPECT_EQ(user.load(chain_of(9, 7, kBytes), expect_right), 7u) << "the newest";
  EXPECT_EQ(user.load(chain_of(0, 7, kBytes), expect_right), 0u) << "the oldest";
}

/// The caches of several engines: what one does not know of the others' blocks would come on top of the limit.
TEST(DiskCache, SeveralStayWithinOneSizeTogether) {
  const test::TempFolder folder;
  // One alone looks at the folder again after a sixteenth: ten blocks.
  const DiskCacheOptions options = options_for(folder, 160 * kPages);
  const auto shared = std::make_shared<DiskFolder>(options);
  std::vector<std::unique_ptr<DiskUser>> users;
  for (const char* model : {"one", "two", "three"}) users.push_back(std::make_unique<DiskUser>(shared, kBytes, model));
  constexpr std::uint64_t kEach = 8;
  const auto files = [&] { return files_in(options.folder).size(); };
  for (std::uint64_t round = 1; round <= 24; ++round) {
    for (std::size_t i = 0; i < users.size(); ++i)
      users[i]->offer_all(chain_of(static_cast<int>(100 * i + round), kEach, kBytes));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (auto& user : users)
      while (user->cache().stats().written < round * kEach && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_LE(files() * kPages, options.bytes) << "round " << round;
    EXPECT_EQ(shared->bytes(), files() * kPages);
  }
  EXPECT_GE(files(), 120u) << "room is not made beyond need";
  for (auto& user : users) {
    EXPECT_EQ(user->cache().stats().written, 24 * kEach);
    user->close();
    EXPECT_TRUE(user->warnings().empty());
  }
}

TEST(DiskCache, ABlockLargerThanItsSizeIsNotWritten) {
  const test::TempFolder folder;
  DiskUser user(options_for(folder, 1000), kBytes);
  user.offer(chain_of(1, 1, kBytes)[0]);
  user.close();
  EXPECT_EQ(user.warnings().size(), 1u);
  EXPECT_TRUE(files_in(folder.file("kv")).empty());
}

TEST(DiskCache, WhatWasUsedStaysAndChainsLoseTheirEnds) {
  const test::TempFolder folder;
  const DiskCacheOptions options = options_for(folder, 16 * kPages);
  const auto used = chain_of(1, 6, kBytes), unused = chain_of(2, 6, kBytes);
  {
    DiskUser user(options, kBytes);
    user.offer_all(used);
    user.offer_all(unused);
  }
  {
    DiskUser user(options, kBytes);
    EXPECT_EQ(user.load(used, expect_right), 6u);
    user.offer_all(chain_of(3, 6, kBytes));  // two blocks too many, with slack
  }
  DiskUser user(options, kBytes);
  EXPECT_EQ(user.load(used, expect_right), 6u);
  const std::size_t left = user.load(unused, expect_right);
  EXPECT_LT(left, 6u);
  EXPECT_GT(left, 0u);
  EXPECT_EQ(files_in(options.folder).size(), 12 + left) << "no block without its beginning";
}

TEST(DiskCache, AFullDiskIsToldOfAndDoesNoHarm) {
  const test::TempFolder folder;
  DiskCacheOptions options = options_for(folder);
  options.least_free = std::uint64_t{1} << 60;
  DiskUser user(options, kBytes);
  const auto chain = chain_of(1, 1, kBytes);
  EXPECT_TRUE(user.offer(chain[0]));
  EXPECT_EQ(user.load(chain, expect_right), 0u);
  user.close();
  ASSERT_EQ(user.warnings().size(), 1u);
  EXPECT_NE(user.warnings()[0].find("no room"), std::string::npos);
}

/// The system refuses to write on: as a disk does that is full or broken, in the middle of a file.
TEST(DiskCache, AFailingDiskIsToldOfAndDoesNoHarm) {
  const test::TempFolder folder;
  const auto chain = chain_of(1, 2, kBytes);
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  {
    DiskUser user(options_for(folder), kBytes);
    struct rlimit small = before;
    small.rlim_cur = 1000;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    user.offer_all({chain[0]});
    user.close();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_EQ(user.warnings().size(), 1u);
    EXPECT_NE(user.warnings()[0].find("cannot write"), std::string::npos);
    EXPECT_TRUE(files_in(folder.file("kv")).empty()) << "nothing half-written is left";
  }
  DiskUser user(options_for(folder), kBytes);
  fs::remove_all(folder.file("kv"));
  user.offer_all({chain[0]});
  EXPECT_EQ(user.load(chain, expect_right), 0u);
  user.close();
  EXPECT_EQ(user.warnings().size(), 1u);
}

TEST(DiskCache, AFolderThatOthersMayWriteIsRefused) {
  const test::TempFolder folder;
  folder.write("kv/x", "");
  fs::permissions(folder.file("kv"), fs::perms::all);
  EXPECT_THROW(DiskUser(options_for(folder), kBytes), base::Error);
  folder.write("file", "");
  EXPECT_THROW(DiskUser({.folder = folder.file("file"), .bytes = 1 << 20}, kBytes), base::Error);
}

TEST(DiskCache, SlowReadingGivesWayToComputing) {
  const test::TempFolder folder;
  const auto chain = chain_of(1, 30, kBytes);
  DiskUser(options_for(folder), kBytes).offer_all(chain);
  DiskUser user(options_for(folder), kBytes);
  EXPECT_TRUE(user.cache().worth_reading(0)) << "nothing is known";
  EXPECT_TRUE(user.cache().worth_reading(1e-9));
  EXPECT_LT(user.load(chain, expect_right, 1e-9), 30u) << "no disk is that fast";
  EXPECT_FALSE(user.cache().worth_reading(1e-9));
  EXPECT_TRUE(user.cache().worth_reading(10));
  int refusals = 0;
  while (!user.cache().worth_reading(1e-9) && refusals < 10000) ++refusals;
  EXPECT_LT(refusals, 10000) << "it is tried again";
  EXPECT_EQ(user.load(chain, expect_right, 100), 30u);
}

TEST(DiskCache, WhatIsTooMuchIsDropped) {
  const test::TempFolder folder;
  DiskCacheOptions options = options_for(folder);
  options.staging_bytes = 0;  // two blocks
  DiskUser user(options, kBytes);
  std::size_t taken = 0;
  const auto chain = chain_of(1, 400, kBytes);
  for (const DiskBlock& block : chain) taken += user.offer(block) ? 1 : 0;
  EXPECT_EQ(user.cache().stats().dropped, chain.size() - taken);
  EXPECT_GE(taken, 2u);
  user.close();
  EXPECT_EQ(files_in(options.folder).size(), taken);
}

// ---- kill -9

/// Writes chain after chain until it is killed; a byte to `begun` after the first.
[[noreturn]] void write_until_killed(const DiskCacheOptions& options, std::size_t bytes, std::mt19937::result_type seed,
                                     int begun) {
  std::mt19937 random(seed);
  DiskUser user(options, bytes);
  user.offer_all(chain_of(static_cast<int>(random() % 40), 12, bytes));
  if (::write(begun, "x", 1) != 1) std::abort();
  while (true) user.offer_all(chain_of(static_cast<int>(random() % 40), 1 + random() % 12, bytes));
}

void kill_at_random_moments(int kills) {
  const test::TempFolder folder;
  // Small enough for room to be made all the time; blocks large enough for a write to be met in its middle.
  constexpr std::size_t kLarge = 200'000;
  const DiskCacheOptions options = options_for(folder, 60 * kLarge);
  std::mt19937 random(11);
  std::size_t found = 0;
  for (int i = 0; i < kills; ++i) {
    int begun[2];
    ASSERT_EQ(::pipe(begun), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(options, kLarge, random(), begun[1]);
    ::close(begun[1]);
    // Half of them in the middle of writing however slow the machine is, half at any moment from their beginning on.
    char byte = 0;
    if (i % 2 == 0) {
      ASSERT_EQ(::read(begun[0], &byte, 1), 1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ::close(begun[0]);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    if (!fs::exists(options.folder)) continue;  // it had not come that far
    DiskUser user(options, kLarge);
    for (int chain = 0; chain < 40; ++chain) found += user.load(chain_of(chain, 12, kLarge), expect_right);
    EXPECT_EQ(user.cache().stats().refused, 0u) << "a file under its name is whole";
    user.offer_all(chain_of(40, 1, kLarge));
    user.close();
    EXPECT_TRUE(user.warnings().empty());
    std::uint64_t bytes = 0;
    for (const std::string& file : files_in(options.folder))
      if (file.ends_with(".kv")) bytes += fs::file_size(options.folder + "/" + file);
    EXPECT_LE(bytes, options.bytes);
  }
  EXPECT_GT(found, static_cast<std::size_t>(kills));
}

TEST(DiskCache, KilledAtTenRandomMoments) { kill_at_random_moments(10); }
TEST(DiskCache, DISABLED_LongKilledAt200RandomMoments) { kill_at_random_moments(200); }

TEST(DiskCache, WhatAKilledProcessLeftIsRemovedInTime) {
  const test::TempFolder folder;
  const DiskCacheOptions options = options_for(folder);
  const auto chain = chain_of(1, 2, kBytes);
  DiskUser(options, kBytes).offer_all({chain[0]});
  const std::string part = file_of(options, chain[1]) + ".123.part", fresh = file_of(options, chain[1]) + ".124.part";
  std::ofstream(part) << "half";
  std::ofstream(fresh) << "half";
  fs::last_write_time(part, fs::file_time_type::clock::now() - std::chrono::hours(1));
  DiskUser(options, kBytes).offer_all({chain[1]});
  EXPECT_FALSE(fs::exists(part));
  EXPECT_TRUE(fs::exists(fresh)) << "another process may be writing it";
}

// The fuzzer's seeds. To write them anew: engine_tests --gtest_also_run_disabled_tests --gtest_filter='*DiskSeeds*'
TEST(DiskSeeds, DISABLED_WriteTheCorpus) {
  const DiskBlock block = chain_of(1, 1, 64)[0];
  const DiskHeader header = disk_header(key_of(block), block.data);
  std::string file(reinterpret_cast<const char*>(header.data()), header.size());
  file.append(reinterpret_cast<const char*>(block.data.data()), block.data.size());
  const std::string folder = std::string(MINKE_SOURCE_DIR) + "/tests/fuzz/corpus/fuzz_disk_block/";
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder + name, std::ios::binary) << bytes;
  };
  write("valid", "0" + file);
  write("short", "0" + file.substr(0, 500));
  std::string other = file;
  other[130] = static_cast<char>(other[130] ^ 1);
  write("other-name", "1" + other);
}

}  // namespace
}  // namespace minke::engine
