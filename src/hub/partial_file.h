// A file on its way: its bytes at their place, and a journal of the blocks that are there.
//
//   HASH.part      the file's length from the start
//   HASH.journal   "minke-download 1 SIZE HASH\n", then a line of 26 bytes for each finished block: its number (8
//                  hexadecimal digits), a blank, the XXH64 of its bytes (16), a line feed
//   HASH.done      the whole file, its hash checked
//
// A block is written before its line. After a kill the system still has what was written, so every line is true. After
// a loss of power a line's block may be missing: then the whole file's hash is wrong, and the sums tell which to fetch
// again. A line that is cut or no line ends the journal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hub/hub_client.h"

namespace minke::hub {

class PartialFile {
 public:
  static constexpr std::uint64_t kBlock = std::uint64_t{1} << 20;

  /// Takes up what `folder` has of `file`; what does not belong together is dropped. Nothing is created yet.
  PartialFile(const std::filesystem::path& folder, const RepoFile& file);

  std::size_t blocks() const noexcept { return here_.size(); }
  std::uint64_t block_bytes(std::size_t block) const noexcept;
  bool has(std::size_t block) const noexcept { return here_[block].has_value(); }
  std::uint64_t bytes_here() const noexcept;
  /// Of the disk, taken by the part already.
  std::uint64_t bytes_reserved() const;

  /// Takes the room on the disk. Error(io).
  void reserve();
  /// A block's bytes, all of them. One thread at a time for one file. Error(io).
  void write(std::size_t block, std::span<const std::byte> bytes);

  /// Hashes the whole file (`on_bytes` as hash_file's). If it is right it becomes HASH.done, and true is returned. If
  /// not, the blocks that are not as they were written are dropped; all of them are when none such is found, for then
  /// wrong ones were sent: `sent_wrong` tells.
  bool finish(const std::function<void(std::uint64_t)>& on_bytes, bool& sent_wrong);

  const std::filesystem::path& done_path() const noexcept { return done_; }
  /// HASH.done stands in `folder`, in its full length.
  static bool is_done(const std::filesystem::path& folder, const RepoFile& file);

 private:
  void read_journal();
  void write_journal() const;
  std::size_t drop_damaged();
  std::string header() const;

  RepoFile file_;
  std::filesystem::path part_, journal_, done_;
  std::vector<std::optional<std::uint64_t>> here_;  // (blocks): their sums
};

}  // namespace minke::hub
