// Blocks for tests of the cache on disk: what one holds follows from its name, so that a wrong one shows.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/signal.h"
#include "engine/disk_cache.h"
#include "engine/kv_cache.h"

namespace minke::test {

inline base::Digest digest_of(const std::string& text) { return base::Sha256().add(text).finish(); }

/// Block `index` of chain number `chain`.
struct DiskBlock {
  base::Digest realm{}, parent{}, name{};
  std::array<engine::TokenId, kernels::kKvBlock> tokens{};
  std::vector<std::byte> data;
};

inline std::vector<std::byte> content_of(const base::Digest& name, std::size_t bytes) {
  // By words of eight bytes: byte by byte, a sanitizer's build needs 10 ms for a block of 200 kB.
  std::vector<std::byte> data(bytes);
  std::uint64_t word = 0;
  std::memcpy(&word, name.data(), sizeof word);
  for (std::size_t i = 0; i < bytes; i += sizeof word, word = word * 6364136223846793005U + 1442695040888963407U)
    std::memcpy(data.data() + i, &word, std::min(sizeof word, bytes - i));
  return data;
}

inline std::vector<DiskBlock> chain_of(int number, std::size_t blocks, std::size_t bytes,
                                       const std::string& realm = "ours") {
  std::vector<DiskBlock> chain(blocks);
  base::Digest parent{};
  for (std::size_t i = 0; i < blocks; ++i) {
    DiskBlock& block = chain[i];
    block.realm = digest_of(realm);
    block.parent = parent;
    for (std::size_t t = 0; t < block.tokens.size(); ++t)
      block.tokens[t] = number * 1'000'000 + static_cast<int>(i * block.tokens.size() + t);
    parent = block.name = engine::block_name(parent, block.realm, block.tokens);
    block.data = content_of(block.name, bytes);
  }
  return chain;
}

/// A cache and what it says.
class DiskUser {
 public:
  DiskUser(const engine::DiskCacheOptions& options, std::size_t bytes, const std::string& model = "model")
      : DiskUser(std::make_shared<engine::DiskFolder>(options), bytes, model) {}
  /// One of several.
  DiskUser(std::shared_ptr<engine::DiskFolder> folder, std::size_t bytes, const std::string& model)
      : bytes_(bytes),
        cache_(std::make_unique<engine::DiskCache>(
            std::move(folder), digest_of(model), bytes, [this] { signal_.raise(); },
            [this](const std::string& text) { warnings_.push_back(text); })) {}

  engine::DiskCache& cache() { return *cache_; }
  bool offer(const DiskBlock& block) {
    return cache_->offer(block.realm, block.parent, block.name, block.tokens, block.data.data());
  }
  /// Until it is taken: the disk may be slower than the test.
  void offer_all(const std::vector<DiskBlock>& chain) {
    for (const DiskBlock& block : chain)
      for (int i = 0; i < 2000 && !offer(block); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  /// The first blocks of a chain that are there; each compared with what it must hold by `check`.
  template <typename Check>
  std::size_t load(const std::vector<DiskBlock>& chain, const Check& check, double compute_seconds = 0) {
    auto load = std::make_shared<engine::DiskLoad>();
    std::vector<std::vector<std::byte>> places(chain.size(), std::vector<std::byte>(bytes_));
    load->parent = chain.front().parent;
    load->compute_seconds = compute_seconds;
    for (std::size_t i = 0; i < chain.size(); ++i)
      load->parts.push_back({.realm = chain[i].realm, .tokens = chain[i].tokens, .to = places[i].data()});
    cache_->read(load);
    while (!load->done.load()) signal_.wait(signal_.value(), std::chrono::milliseconds(10));
    for (std::size_t i = 0; i < load->loaded.load(); ++i) check(chain[i], places[i]);
    return load->loaded.load();
  }
  /// Ends the disk's thread: what waited is written.
  void close() { cache_.reset(); }
  /// After close().
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::size_t bytes_;
  base::Signal signal_;
  std::vector<std::string> warnings_;  // the disk's thread's until close()
  std::unique_ptr<engine::DiskCache> cache_;
};

}  // namespace minke::test
