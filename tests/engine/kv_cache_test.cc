#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace minke::engine {
namespace {

constexpr std::size_t kBlock = kernels::kKvBlock;

base::Digest realm(const std::string& salt) { return base::Sha256().add(salt).finish(); }

std::vector<TokenId> tokens(int first) {
  std::vector<TokenId> ids(kBlock);
  for (std::size_t i = 0; i < kBlock; ++i) ids[i] = first + static_cast<int>(i);
  return ids;
}

class KvCacheTest : public testing::Test {
 protected:
  KvCache cache_{64, 4, false};
  base::Digest ours_ = realm("ours");
};

TEST_F(KvCacheTest, BlocksRunOutAndComeBack) {
  std::vector<BlockId> taken;
  for (int i = 0; i < 4; ++i) taken.push_back(cache_.take());
  EXPECT_EQ(cache_.take(), kNoBlock);
  EXPECT_EQ(cache_.available(), 0u);
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector<BlockId>{0, 1, 2, 3}));
  cache_.retain(taken[1]);
  cache_.release(taken[1]);
  EXPECT_EQ(cache_.available(), 0u) << "still referenced once";
  cache_.release(taken[1]);
  EXPECT_EQ(cache_.available(), 1u);
  EXPECT_EQ(cache_.take(), taken[1]);
}

TEST_F(KvCacheTest, WhatIsPublishedIsFoundUntilItsRoomIsNeeded) {
  const BlockId first = cache_.take(), second = cache_.take();
  EXPECT_EQ(cache_.publish(first, kNoBlock, ours_, tokens(0)), first);
  EXPECT_EQ(cache_.publish(second, first, ours_, tokens(100)), second);
  cache_.release(second);
  cache_.release(first);
  EXPECT_EQ(cache_.available(), 4u);
  EXPECT_EQ(cache_.cached(), 2u);
  EXPECT_EQ(cache_.find(kNoBlock, ours_, tokens(0)), first);
  EXPECT_EQ(cache_.find(first, ours_, tokens(100)), second);
  cache_.release(second);
  cache_.release(first);
  // The end of the chain goes before its beginning.
  for (int i = 0; i < 3; ++i) (void)cache_.take();
  EXPECT_EQ(cache_.find(kNoBlock, ours_, tokens(0)), first);
  EXPECT_EQ(cache_.find(first, ours_, tokens(100)), kNoBlock);
}

TEST_F(KvCacheTest, AHitNeedsTheSameTokensPredecessorAndRealm) {
  const BlockId first = cache_.take(), second = cache_.take();
  cache_.publish(first, kNoBlock, ours_, tokens(0));
  cache_.publish(second, first, ours_, tokens(100));
  std::vector<TokenId> almost = tokens(0);
  almost.back() += 1;
  EXPECT_EQ(cache_.find(kNoBlock, ours_, almost), kNoBlock);
  EXPECT_EQ(cache_.find(kNoBlock, realm("theirs"), tokens(0)), kNoBlock);
  EXPECT_EQ(cache_.find(kNoBlock, ours_, tokens(100)), kNoBlock);
  EXPECT_EQ(cache_.find(second, ours_, tokens(100)), kNoBlock);
}

TEST_F(KvCacheTest, WhatIsComputedTwiceIsKeptOnce) {
  const BlockId first = cache_.take(), again = cache_.take();
  cache_.publish(first, kNoBlock, ours_, tokens(0));
  EXPECT_EQ(cache_.publish(again, kNoBlock, ours_, tokens(0)), first);
  EXPECT_EQ(cache_.references(first), 2u);
  EXPECT_EQ(cache_.available(), 3u);
  EXPECT_EQ(cache_.stats().merged, 1u);
}

TEST_F(KvCacheTest, ABlockAfterOneThatIsNotPublishedIsNotEither) {
  const BlockId first = cache_.take(), second = cache_.take();
  EXPECT_EQ(cache_.publish(second, first, ours_, tokens(100)), second);
  cache_.release(second);
  EXPECT_EQ(cache_.cached(), 0u);
}

// Random chains beside a plain map of everything that was ever published: a hit holds what it says, no block is lost
// and none has two owners.
TEST(KvCacheRandom, AgreesWithAMap) {
  std::mt19937 random(7);
  KvCache cache(64, 23, false);
  struct Chain {
    std::vector<BlockId> blocks;
    std::vector<int> content;
    int realm = 0;
  };
  std::vector<Chain> chains;
  std::map<BlockId, std::vector<int>> holds;  // what a block was published with: its whole past and its realm
  std::size_t hits = 0;
  for (int turn = 0; turn < 20000; ++turn) {
    if (chains.size() < 6 && random() % 2 == 0) {
      Chain chain;
      chain.realm = static_cast<int>(random() % 2);
      chains.push_back(chain);
    }
    if (chains.empty()) continue;
    const std::size_t at = random() % chains.size();
    Chain& chain = chains[at];
    if (random() % 5 == 0) {
      for (std::size_t i = chain.blocks.size(); i-- > 0;) cache.release(chain.blocks[i]);
      chains.erase(chains.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      const int next = static_cast<int>(random() % 3);
      const base::Digest of = realm(chain.realm == 0 ? "a" : "b");
      const BlockId parent = chain.blocks.empty() ? kNoBlock : chain.blocks.back();
      std::vector<int> past = chain.content;
      past.push_back(next);
      past.push_back(-1 - chain.realm);
      BlockId block = cache.find(parent, of, tokens(next));
      if (block != kNoBlock) {
        ++hits;
        ASSERT_EQ(holds.at(block), past);
      } else {
        block = cache.take();
        if (block == kNoBlock) continue;
        block = cache.publish(block, parent, of, tokens(next));
        holds[block] = past;
      }
      chain.blocks.push_back(block);
      chain.content.push_back(next);
    }
    std::map<BlockId, std::uint32_t> owners;
    for (const Chain& c : chains)
      for (const BlockId block : c.blocks) ++owners[block];
    for (const auto& [block, count] : owners) ASSERT_EQ(cache.references(block), count);
    ASSERT_EQ(cache.available(), cache.blocks() - owners.size());
  }
  EXPECT_GT(hits, 1000u);
  EXPECT_GT(cache.stats().evictions, 100u);
  chains.clear();
}

TEST(KvArena, PrefaultedMemoryIsThere) {
  const KvArena arena(4096, 100, true);
  for (BlockId i = 0; i < 100; ++i) EXPECT_EQ(arena.data(i)[4095], std::byte{0});
}

}  // namespace
}  // namespace minke::engine
