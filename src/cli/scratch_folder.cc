#include "cli/scratch_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/cat.h"
#include "base/error.h"

namespace minke::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kScratchPrefix = "minke-show-";

/// Of this user, of no living process, and not so new that its owner may yet be about to lock it.
bool is_abandoned(const fs::path& path) {
  constexpr std::time_t kNewSeconds = 60;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) return false;
  if (std::time(nullptr) - info.st_mtim.tv_sec < kNewSeconds) return false;
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  const bool free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return free;
}

void remove_abandoned(const fs::path& parent) {
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->path().filename().string().starts_with(kScratchPrefix) && is_abandoned(at->path()))
      fs::remove_all(at->path(), ignored);
  }
}

}  // namespace

ScratchFolder::ScratchFolder() {
  const fs::path parent = fs::temp_directory_path();
  remove_abandoned(parent);
  std::string pattern = (parent / base::cat(kScratchPrefix, "XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) throw base::io_error(pattern, "create the folder", errno);
  path_ = pattern;
  fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Without it the folder might be taken for an abandoned one, in a minute: an error then, nothing worse.
  if (fd_ >= 0) (void)::flock(fd_, LOCK_EX | LOCK_NB);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace minke::cli
