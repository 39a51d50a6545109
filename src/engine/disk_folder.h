// The folder of cached blocks: one file each, under a name that only who knows the block can tell.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/disk_block.h"

namespace minke::engine {

struct DiskCacheOptions {
  std::string folder;                         ///< empty: no blocks on disk
  std::uint64_t bytes = 0;                    ///< most that the blocks take
  std::uint64_t least_free = 1ull << 30;      ///< bytes of the disk that are left to others
  std::uint64_t staging_bytes = 48ull << 20;  ///< copies that wait to be written
};

/// Why one file per block and no larger ones with an index: a block is megabytes of any real model; a file appears
/// whole, by a rename, or not at all, whenever the process is killed; several processes can share the folder without
/// locks, for files never change; room is made by removing files, with nothing to be rewritten; and nothing has to be
/// read at the start. Any thread: the caches of several engines share one, and its limit is theirs together.
class DiskFolder {
 public:
  /// Creates the folder if it is not there, for this user alone. Error(io); Error(invalid_argument) when it belongs to
  /// somebody else or others may write to it.
  explicit DiskFolder(DiskCacheOptions options);
  ~DiskFolder();
  DiskFolder(const DiskFolder&) = delete;
  DiskFolder& operator=(const DiskFolder&) = delete;

  const std::string& path() const noexcept { return options_.folder; }
  const DiskCacheOptions& options() const noexcept { return options_; }

  /// NAME-PARENT.kv: the first 16 bytes of the block's name and 8 of its predecessor's, in hexadecimal.
  static std::string file_name(const base::Digest& parent, const base::Digest& name);

  /// A descriptor to read from, or -1 with errno.
  int open(const std::string& file) const noexcept;
  /// It was used at `time`, nanoseconds since 1970.
  static void mark_used(int descriptor, std::int64_t time) noexcept;
  void remove(const std::string& file) noexcept;

  enum class Written { yes, there, no_room, failed };
  /// Removes what was not used for longest when there is not enough room. `failed` sets errno.
  Written write(const BlockKey& key, std::span<const std::byte> payload);

  /// Of the blocks here, those that are being written among them, as far as this process knows; 0 before the first.
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct File {
    std::string name;
    std::uint64_t id = 0, parent = 0;  ///< the first bytes of their names
    std::int64_t used = 0;             ///< nanoseconds since 1970
    std::uint64_t bytes = 0;           ///< on the disk, in pages
  };
  // With the mutex held:
  bool make_room(std::uint64_t bytes);
  std::vector<File> scan();
  void trim(std::uint64_t most);
  void take_back(std::uint64_t bytes) noexcept;

  static std::vector<std::size_t> by_worth(const std::vector<File>& files);
  bool write_part(const std::string& part, const DiskHeader& header, std::span<const std::byte> payload) noexcept;

  DiskCacheOptions options_;
  int folder_ = -1;

  std::mutex mutex_;  // guards what follows; not held while a block is written
  bool scanned_ = false;
  std::uint64_t pending_ = 0;  ///< of blocks that are being written; part of bytes_
  std::uint64_t written_ = 0;  ///< since the last scan: other processes write, too
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace minke::engine
