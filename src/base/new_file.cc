#include "base/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/error.h"

namespace minke::base {

namespace {

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void refuse_existing(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, ignored)))
    throw Error(ErrorCode::invalid_argument, cat(path, ": there is something of that name"),
                "remove it, or choose another name");
}

}  // namespace

NewFile::NewFile(std::string path) : path_(std::move(path)), part_(path_ + ".part") {
  refuse_existing(path_);
  fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) throw io_error(part_, "create", errno);
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(part_.c_str());
}

void NewFile::set_size(std::uint64_t bytes) {
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) throw io_error(part_, "set the size of", errno);
}

void NewFile::reserve(std::uint64_t bytes) {
  if (bytes == 0) return;
  int result;
  do {
    result = ::fallocate(fd_, 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
    throw io_error(part_, cat("reserve ", bytes, " bytes for"), errno);
}

void NewFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw io_error(part_, "write", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void NewFile::write_at(std::uint64_t offset, std::string_view text) {
  write_at(offset, std::as_bytes(std::span(text)));
}

void NewFile::commit() {
  const int fd = fd_;
  fd_ = -1;
  const int closed = ::close(fd);
  if (closed == 0 && ::rename(part_.c_str(), path_.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(part_.c_str());
  throw io_error(path_, closed == 0 ? "rename to" : "close", reason);
}

NewFolder::NewFolder(std::string path) : path_(without_slashes(std::move(path))), part_(path_ + ".part") {
  refuse_existing(path_);
  if (::mkdir(part_.c_str(), 0777) == 0) return;
  const int reason = errno;
  if (reason == EEXIST)
    throw Error(ErrorCode::invalid_argument, cat(part_, ": there is something of that name"),
                "an interrupted run may have left it: remove it");
  throw io_error(part_, "create", reason);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!done_) std::filesystem::remove_all(part_, ignored);
}

void NewFolder::commit() {
  if (::rename(part_.c_str(), path_.c_str()) != 0) throw io_error(path_, "rename to", errno);
  done_ = true;
}

std::uint64_t free_disk_space(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(without_slashes(path)).parent_path();
  std::error_code error;
  const auto space = std::filesystem::space(parent.empty() ? std::filesystem::path(".") : parent, error);
  if (error) throw io_error(parent.empty() ? "." : parent.string(), "look at the free space of", error.value());
  return space.available;
}

}  // namespace minke::base
