#include "engine/disk_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <unordered_map>

#include "base/error.h"

namespace minke::engine {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

constexpr std::size_t kNameDigits = 32, kParentDigits = 16;
constexpr std::string_view kEnding = ".kv", kPart = ".part";
constexpr std::size_t kFileName = kNameDigits + 1 + kParentDigits + kEnding.size();

/// A file that is being written is minutes old at most; an older one was left by a process that was killed.
constexpr std::int64_t kPartSeconds = 600;

/// Room is made for a sixteenth more than is needed, so that the folder is not read for every block.
constexpr std::uint64_t kSlack = 16;

void append_hex(std::string& out, std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::byte byte : bytes) {
    out.push_back(kDigits[std::to_integer<std::size_t>(byte >> 4)]);
    out.push_back(kDigits[std::to_integer<std::size_t>(byte & std::byte{15})]);
  }
}

/// Of 16 digits, as they stand; false when one is none.
bool read_hex(std::string_view digits, std::uint64_t& value) {
  value = 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && !(c >= 'a' && c <= 'f')) return false;
    value = value << 4 | static_cast<std::uint64_t>(decimal ? c - '0' : c - 'a' + 10);
  }
  return true;
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::uint64_t whole_pages(std::uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; }

}  // namespace

DiskFolder::DiskFolder(DiskCacheOptions options) : options_(std::move(options)) {
  std::error_code error;
  const std::filesystem::path path(options_.folder);
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(options_.folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw base::io_error(options_.folder, "create", errno);
  folder_ = ::open(options_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) throw base::io_error(options_.folder, "open", errno);
  struct stat status {};
  const int reason = ::fstat(folder_, &status) == 0 ? 0 : errno;
  if (reason == 0 && status.st_uid == ::geteuid() && (status.st_mode & 022) == 0) return;
  ::close(folder_);
  if (reason != 0) throw base::io_error(options_.folder, "look at", reason);
  throw Error(ErrorCode::invalid_argument,
              cat(options_.folder, ": cached blocks are kept only where this user alone may write"),
              "Use another --cache-dir, or chmod 700.");
}

DiskFolder::~DiskFolder() { ::close(folder_); }

std::string DiskFolder::file_name(const base::Digest& parent, const base::Digest& name) {
  std::string file;
  file.reserve(kFileName);
  append_hex(file, std::span(name).first(kNameDigits / 2));
  file.push_back('-');
  append_hex(file, std::span(parent).first(kParentDigits / 2));
  file.append(kEnding);
  return file;
}

int DiskFolder::open(const std::string& file) const noexcept {
  return ::openat(folder_, file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

void DiskFolder::mark_used(int descriptor, std::int64_t time) noexcept {
  timespec times[2] = {};
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = static_cast<time_t>(time / 1'000'000'000);
  times[1].tv_nsec = static_cast<long>(time % 1'000'000'000);
  ::futimens(descriptor, times);  // a cache that cannot be told is only less well ordered
}

void DiskFolder::remove(const std::string& file) noexcept {
  struct stat status {};
  if (::fstatat(folder_, file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  const std::lock_guard lock(mutex_);
  if (::unlinkat(folder_, file.c_str(), 0) == 0) take_back(whole_pages(static_cast<std::uint64_t>(status.st_size)));
}

void DiskFolder::take_back(std::uint64_t bytes) noexcept { bytes_ -= std::min(bytes_.load(), bytes); }

DiskFolder::Written DiskFolder::write(const BlockKey& key, std::span<const std::byte> payload) {
  const std::string file = file_name(key.parent, key.name);
  if (::faccessat(folder_, file.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) return Written::there;
  const std::uint64_t bytes = whole_pages(kDiskHeader + payload.size());
  const std::string part = cat(file, ".", ::getpid(), kPart);
  const DiskHeader header = disk_header(key, payload);
  {
    const std::lock_guard lock(mutex_);
    if (!make_room(bytes)) return Written::no_room;
    // Before it is written, so that room for others is made beside it.
    bytes_ += bytes;
    pending_ += bytes;
  }
  int reason = write_part(part, header, payload) ? 0 : errno;
  const bool twice = reason == EEXIST;  // another one of this process's writes the same
  const std::lock_guard lock(mutex_);
  pending_ -= bytes;
  if (reason == 0 && ::renameat(folder_, part.c_str(), folder_, file.c_str()) != 0) reason = errno;
  if (reason == 0) {
    written_ += bytes;
    return Written::yes;
  }
  take_back(bytes);
  if (twice) return Written::there;
  ::unlinkat(folder_, part.c_str(), 0);
  errno = reason;
  return reason == ENOSPC || reason == EDQUOT ? Written::no_room : Written::failed;
}

/// Not flushed: what a crash of the system leaves half-written has a wrong checksum.
bool DiskFolder::write_part(const std::string& part, const DiskHeader& header,
                            std::span<const std::byte> payload) noexcept {
  const int file = ::openat(folder_, part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return false;
  const std::size_t total = header.size() + payload.size();
  for (std::size_t done = 0; done < total;) {
    const std::size_t in_header = std::min(done, header.size()), in_payload = done - in_header;
    // writev() takes what it only reads as what it may change.
    iovec pieces[2] = {{const_cast<std::byte*>(header.data()) + in_header, header.size() - in_header},
                       {const_cast<std::byte*>(payload.data()) + in_payload, payload.size() - in_payload}};
    const ssize_t written = ::writev(file, pieces, 2);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int reason = written == 0 ? EIO : errno;
      ::close(file);
      errno = reason == EEXIST ? EIO : reason;
      return false;
    }
    done += static_cast<std::size_t>(written);
  }
  // The system's own times are a timer's ticks apart.
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  mark_used(file, nanoseconds(now));
  return ::close(file) == 0;
}

bool DiskFolder::make_room(std::uint64_t bytes) {
  if (bytes > options_.bytes) return false;
  if (!scanned_ || written_ > options_.bytes / kSlack) trim(options_.bytes);
  const std::uint64_t slack = options_.bytes / kSlack;
  if (bytes_ + bytes > options_.bytes) trim(options_.bytes - std::max(bytes, slack));
  // What others are writing may be all there is.
  if (bytes_ + bytes > options_.bytes) return false;
  struct statvfs disk {};
  if (::fstatvfs(folder_, &disk) != 0) return true;  // the write will tell
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const std::uint64_t needed = options_.least_free + bytes;
  if (free >= needed) return true;
  const std::uint64_t here = bytes_;
  if (needed - free > here) return false;
  trim(here - std::min(here, std::max(needed - free, slack)));
  return true;
}

/// The blocks that are here. Removes what killed processes left; what is not ours is not looked at.
std::vector<DiskFolder::File> DiskFolder::scan() {
  std::vector<File> files;
  const int again = ::openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* folder = again < 0 ? nullptr : ::fdopendir(again);
  if (folder == nullptr) {
    if (again >= 0) ::close(again);
    return files;
  }
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  while (const dirent* entry = ::readdir(folder)) {  // NOLINT(concurrency-mt-unsafe): a stream of its own
    const std::string_view name = entry->d_name;
    File file;
    if (name.size() < kFileName || name[kNameDigits] != '-' ||
        name.substr(kFileName - kEnding.size(), kEnding.size()) != kEnding ||
        !read_hex(name.substr(0, kParentDigits), file.id) ||
        !read_hex(name.substr(kNameDigits + 1, kParentDigits), file.parent))
      continue;
    const bool part = name.size() > kFileName && name.ends_with(kPart);
    struct stat status {};
    if ((name.size() > kFileName && !part) || ::fstatat(folder_, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode))
      continue;
    if (part) {
      if (now.tv_sec - status.st_mtim.tv_sec > kPartSeconds) ::unlinkat(folder_, entry->d_name, 0);
      continue;
    }
    file.name = name;
    file.used = nanoseconds(status.st_mtim);
    file.bytes = whole_pages(static_cast<std::uint64_t>(status.st_size));
    files.push_back(std::move(file));
  }
  ::closedir(folder);
  return files;
}

/// The most recently used first, each after its predecessors: a block without its beginning can be found by nobody.
std::vector<std::size_t> DiskFolder::by_worth(const std::vector<File>& files) {
  std::vector<std::size_t> newest(files.size());
  for (std::size_t i = 0; i < newest.size(); ++i) newest[i] = i;
  std::sort(newest.begin(), newest.end(), [&](std::size_t a, std::size_t b) {
    return files[a].used != files[b].used ? files[a].used > files[b].used : files[a].name < files[b].name;
  });
  std::unordered_map<std::uint64_t, std::size_t> by_id;
  for (const std::size_t i : newest) by_id.emplace(files[i].id, i);
  std::vector<std::size_t> order, chain;
  std::vector<bool> placed(files.size(), false);
  order.reserve(files.size());
  for (const std::size_t newer : newest) {
    chain.clear();
    for (std::size_t at = newer; !placed[at];) {
      placed[at] = true;
      chain.push_back(at);
      const auto parent = by_id.find(files[at].parent);
      if (parent == by_id.end()) break;
      at = parent->second;
    }
    order.insert(order.end(), chain.rbegin(), chain.rend());
  }
  return order;
}

/// Keeps the best of what is here, as much as `most` bytes hold beside what is being written.
void DiskFolder::trim(std::uint64_t most) {
  const std::vector<File> files = scan();
  std::uint64_t kept = pending_;
  for (const std::size_t i : by_worth(files)) {
    if (kept + files[i].bytes <= most) {
      kept += files[i].bytes;
    } else {
      most = kept;  // nor anything after it
      ::unlinkat(folder_, files[i].name.c_str(), 0);
    }
  }
  bytes_ = kept;
  written_ = 0;
  scanned_ = true;
}

}  // namespace minke::engine
