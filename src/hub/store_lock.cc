#include "hub/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/error.h"

namespace minke::hub {

using base::cat;
using base::Error;
using base::ErrorCode;

StoreLock::StoreLock(const std::filesystem::path& path, std::string_view name) {
  open(path);
  try {
    if (!try_lock(path))
      throw Error(ErrorCode::io, cat(name, ": a fetch of this model is running"), "wait for it, or stop it first");
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

StoreLock::StoreLock(const std::filesystem::path& path, const std::function<void()>& waiting,
                     const std::function<bool()>& cancelled) {
  open(path);
  try {
    for (bool told = false; !try_lock(path); told = true) {
      if (!told && waiting) waiting();
      if (cancelled && cancelled()) throw Error(ErrorCode::cancelled, "stopped");
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

StoreLock::~StoreLock() { ::close(descriptor_); }

void StoreLock::open(const std::filesystem::path& path) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor_ < 0) throw base::io_error(path.string(), "open the lock", errno);
}

bool StoreLock::try_lock(const std::filesystem::path& path) const {
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK || errno == EINTR) return false;
  throw base::io_error(path.string(), "take the lock", errno);
}

}  // namespace minke::hub
