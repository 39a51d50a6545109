#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "base/error.h"
#include "base/read_file.h"
#include "base/xxh64.h"

namespace minke::hub {

namespace fs = std::filesystem;
using base::cat;

namespace {

constexpr std::size_t kNumberDigits = 8;
constexpr std::size_t kSumDigits = 16;
constexpr std::size_t kLine = kNumberDigits + 1 + kSumDigits + 1;
constexpr std::uint64_t kMaxJournal = std::uint64_t{1} << 30;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags)
      : path_(path.string()), fd_(::open(path_.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644)) {
    if (fd_ < 0) throw base::io_error(path_, "open", errno);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  int get() const noexcept { return fd_; }

  void write_all(std::span<const std::byte> bytes, std::uint64_t offset) const {
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw base::io_error(path_, "write", count < 0 ? errno : EIO);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
  }

  void append(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::write(fd_, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw base::io_error(path_, "write", count < 0 ? errno : EIO);
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  void read_all(std::span<std::byte> bytes, std::uint64_t offset) const {
    while (!bytes.empty()) {
      const ssize_t count = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw base::io_error(path_, "read", count < 0 ? errno : EIO);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
  }

 private:
  std::string path_;
  int fd_;
};

std::string fixed_hex(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = digits; i-- > 0; value >>= 4U) text[i] = kDigits[value & 15U];
  return text;
}

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string journal_line(std::size_t block, std::uint64_t sum) {
  return cat(fixed_hex(block, kNumberDigits), " ", fixed_hex(sum, kSumDigits), "\n");
}

void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

std::optional<std::uint64_t> regular_size(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

PartialFile::PartialFile(const fs::path& folder, const RepoFile& file)
    : file_(file),
      part_(folder / cat(file.hash.digits, ".part")),
      journal_(folder / cat(file.hash.digits, ".journal")),
      done_(folder / cat(file.hash.digits, ".done")),
      here_(static_cast<std::size_t>((file.size + kBlock - 1) / kBlock)) {
  if (regular_size(part_) != file.size) {
    remove_file(part_);
    remove_file(journal_);
    return;
  }
  read_journal();
}

std::string PartialFile::header() const { return cat("minke-download 1 ", file_.size, " ", file_.hash.digits, "\n"); }

void PartialFile::read_journal() {
  std::string text;
  if (regular_size(journal_)) text = base::read_file(journal_.string(), kMaxJournal);
  std::size_t good = 0;
  if (text.starts_with(header())) {
    std::string_view rest = std::string_view(text).substr(header().size());
    for (good = header().size(); rest.size() >= kLine; good += kLine) {
      const auto block = parse_hex(rest.substr(0, kNumberDigits));
      const auto sum = parse_hex(rest.substr(kNumberDigits + 1, kSumDigits));
      if (!block || !sum || *block >= here_.size() || rest[kNumberDigits] != ' ' || rest[kLine - 1] != '\n') break;
      here_[*block] = *sum;
      rest.remove_prefix(kLine);
    }
  }
  // Lines would be added behind what is no line.
  if (good != text.size()) write_journal();
}

void PartialFile::write_journal() const {
  std::string text = header();
  for (std::size_t block = 0; block < here_.size(); ++block) {
    if (const std::optional<std::uint64_t>& sum = here_[block]) text += journal_line(block, *sum);
  }
  const fs::path fresh = journal_.string() + ".new";
  remove_file(fresh);
  {
    const Descriptor file(fresh, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
    file.append(text);
  }
  std::error_code error;
  fs::rename(fresh, journal_, error);
  if (error) throw base::io_error(journal_.string(), "replace", error.value());
}

std::uint64_t PartialFile::block_bytes(std::size_t block) const noexcept {
  return std::min(kBlock, file_.size - kBlock * block);
}

std::uint64_t PartialFile::bytes_here() const noexcept {
  std::uint64_t bytes = 0;
  for (std::size_t block = 0; block < here_.size(); ++block) {
    if (here_[block]) bytes += block_bytes(block);
  }
  return bytes;
}

std::uint64_t PartialFile::bytes_reserved() const {
  constexpr std::uint64_t kStatBlock = 512;
  struct stat status {};
  return ::lstat(part_.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * kStatBlock : 0;
}

void PartialFile::reserve() {
  if (regular_size(part_) == file_.size && regular_size(journal_)) return;
  {
    const Descriptor file(part_, O_WRONLY | O_CREAT);
    if (::ftruncate(file.get(), static_cast<off_t>(file_.size)) != 0)
      throw base::io_error(part_.string(), "set the size of", errno);
    int result = 0;
    if (file_.size > 0) {
      do {
        result = ::fallocate(file.get(), 0, 0, static_cast<off_t>(file_.size));
      } while (result != 0 && errno == EINTR);
    }
    // A file system that cannot is left to fail later.
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
      throw base::io_error(part_.string(), cat("reserve ", file_.size, " bytes for"), errno);
  }
  write_journal();
}

void PartialFile::write(std::size_t block, std::span<const std::byte> bytes) {
  const std::uint64_t sum = base::xxh64(bytes);
  Descriptor(part_, O_WRONLY).write_all(bytes, kBlock * block);
  Descriptor(journal_, O_WRONLY | O_APPEND).append(journal_line(block, sum));
  here_[block] = sum;
}

std::size_t PartialFile::drop_damaged() {
  std::size_t dropped = 0;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(kBlock, file_.size)));
  const Descriptor file(part_, O_RDONLY);
  for (std::size_t block = 0; block < here_.size(); ++block) {
    std::optional<std::uint64_t>& sum = here_[block];
    if (!sum) continue;
    const std::span<std::byte> bytes = std::span(buffer).first(static_cast<std::size_t>(block_bytes(block)));
    file.read_all(bytes, kBlock * block);
    if (base::xxh64(bytes) == *sum) continue;
    sum.reset();
    ++dropped;
  }
  return dropped;
}

bool PartialFile::finish(const std::function<void(std::uint64_t)>& on_bytes, bool& sent_wrong) {
  sent_wrong = false;
  if (hash_file(part_.string(), file_.hash.kind, on_bytes) == file_.hash.digits) {
    if (const Descriptor file(part_, O_RDONLY); ::fdatasync(file.get()) != 0)
      throw base::io_error(part_.string(), "write out", errno);
    std::error_code error;
    fs::rename(part_, done_, error);
    if (error) throw base::io_error(done_.string(), "rename to", error.value());
    remove_file(journal_);
    return true;
  }
  sent_wrong = drop_damaged() == 0;
  if (sent_wrong) {
    std::fill(here_.begin(), here_.end(), std::nullopt);
    remove_file(part_);
    remove_file(journal_);
  } else {
    write_journal();
  }
  return false;
}

bool PartialFile::is_done(const fs::path& folder, const RepoFile& file) {
  return regular_size(folder / cat(file.hash.digits, ".done")) == file.size;
}

}  // namespace minke::hub
