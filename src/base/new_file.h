// Files and folders that appear under their names only when they are complete: what is interrupted leaves nothing
// that looks finished.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace minke::base {

/// A new file, written at any place by any thread as PATH.part; commit() gives it its name. Without commit() it is
/// removed. Errors: invalid_argument when PATH exists already, io.
class NewFile {
 public:
  explicit NewFile(std::string path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  const std::string& path() const noexcept { return path_; }

  /// The file's length from here on; bytes that are never written read as zeros and take no room on the disk.
  void set_size(std::uint64_t bytes);
  /// Takes the room on the disk now, so that a full disk is an error here and not after an hour. A file system that
  /// cannot is left to fail later.
  void reserve(std::uint64_t bytes);
  /// Any thread may call.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void write_at(std::uint64_t offset, std::string_view text);
  void commit();

 private:
  std::string path_, part_;
  int fd_ = -1;
};

/// A new folder, filled as PATH.part; commit() gives it its name. Without commit() it is removed with everything in
/// it. Errors as NewFile; also when PATH.part is there, left by a run that was killed.
class NewFolder {
 public:
  explicit NewFolder(std::string path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  /// Where to put files meanwhile.
  const std::string& part() const noexcept { return part_; }
  void commit();

 private:
  std::string path_, part_;
  bool done_ = false;
};

/// Bytes that this process may still write in the folder that holds, or will hold, `path`. Error(io) when that cannot
/// be told, as when there is no such folder.
std::uint64_t free_disk_space(const std::string& path);

}  // namespace minke::base
