// Blocks of the cache that outlive the process, and those that memory has no room for.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/signal.h"
#include "engine/disk_folder.h"

namespace minke::engine {

/// Blocks to be read, one after the other as far as they are there. The compute thread fills it in and reads `loaded`
/// and `done`; between the two it belongs to the disk's thread, as do the places that it names.
struct DiskLoad {
  struct Part {
    base::Digest realm{};
    std::array<TokenId, kernels::kKvBlock> tokens{};
    std::byte* to = nullptr;
  };
  base::Digest parent{};  ///< the name of the block before the first
  std::vector<Part> parts;
  double compute_seconds = 0;  ///< what a block takes to be computed instead; 0: not known
  std::atomic<bool> cancelled{false};
  std::atomic<std::size_t> loaded{0};  ///< the first ones, which are right
  std::atomic<bool> done{false};
};

/// One thread reads and writes, reading first. What goes wrong is told by `warn` and costs a hit: nothing here throws
/// after construction.
class DiskCache {
 public:
  /// `folder` may be shared with other caches. `wake` is called when a load is done, `warn` with a line of text; both
  /// on the disk's thread. Error(io) when there can be no such thread.
  DiskCache(std::shared_ptr<DiskFolder> folder, const base::Digest& fingerprint, std::size_t block_bytes,
            std::function<void()> wake, std::function<void(const std::string&)> warn);
  /// Writes what waits, for two seconds at most.
  ~DiskCache();
  DiskCache(const DiskCache&) = delete;
  DiskCache& operator=(const DiskCache&) = delete;

  // The compute thread's.

  /// Copies a complete block to be written. False, and nothing happens, when too many wait already or the disk is full.
  /// Takes no lock and allocates nothing.
  bool offer(const base::Digest& realm, const base::Digest& parent, const base::Digest& name,
             std::span<const TokenId> tokens, const std::byte* data) noexcept;
  /// Whether reading a block is faster than computing it, as far as is known. Now and then yes all the same: a disk may
  /// have become faster.
  bool worth_reading(double compute_seconds) noexcept;
  void read(std::shared_ptr<DiskLoad> load);

  struct Stats {
    std::uint64_t read = 0, written = 0;  ///< blocks
    std::uint64_t dropped = 0;            ///< not written: too many waited
    std::uint64_t refused = 0;            ///< damaged or foreign files
    std::uint64_t bytes = 0;              ///< of the folder's blocks, whoever wrote them, once something was written
  };
  /// Any thread may ask.
  Stats stats() const noexcept;

 private:
  struct Slot {
    BlockKey key;
    std::byte* data = nullptr;
  };
  /// A file that may be the next block.
  struct Found {
    Found() = default;
    ~Found();
    Found(const Found&) = delete;
    Found& operator=(const Found&) = delete;
    BlockKey key;
    std::string file;
    int descriptor = -1;
  };

  void run() noexcept;
  std::shared_ptr<DiskLoad> next_load();
  void run_load(DiskLoad& load);
  bool find(DiskLoad& load, std::size_t part, base::Digest& parent, Found& found);
  bool read_block(const Found& found, std::byte* to);
  bool write_one();
  void write_block(const Slot& slot);
  void warn_once_a_minute(const std::string& text);

  const base::Digest fingerprint_;
  const std::size_t block_bytes_;
  const std::shared_ptr<DiskFolder> folder_;
  const std::function<void()> wake_;
  const std::function<void(const std::string&)> warn_;

  base::Signal signal_;  ///< something to do
  std::mutex mutex_;
  std::deque<std::shared_ptr<DiskLoad>> loads_;  // guarded by mutex_

  std::unique_ptr<std::byte[]> staging_;
  std::vector<Slot> slots_;
  std::atomic<std::uint64_t> offered_{0}, taken_{0};  ///< slots: [taken_, offered_) wait
  std::atomic<double> read_seconds_{0};               ///< per block, lately; 0: not known
  std::atomic<bool> writing_{true};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> read_{0}, written_{0}, dropped_{0}, refused_{0};

  std::int64_t paused_until_ = 0, silent_until_ = 0;  // the disk's thread's; steady nanoseconds
  std::thread thread_;
};

}  // namespace minke::engine
