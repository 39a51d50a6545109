#include "cli/installation_secret.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace minke::cli {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

constexpr std::size_t kBytes = 32, kDigits = 2 * kBytes;

bool is_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

std::string draw() {
  std::array<unsigned char, kBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw base::io_error("the system's random numbers", "read", errno);
  std::string digits;
  for (const unsigned char byte : bytes) {
    digits.push_back("0123456789abcdef"[byte >> 4]);
    digits.push_back("0123456789abcdef"[byte & 15]);
  }
  return digits;
}

/// nullopt-like: empty when there is no such file.
std::string read_secret(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) {
    if (errno == ENOENT) return {};
    throw base::io_error(path, "open", errno);
  }
  struct stat status {};
  std::string text(kDigits + 2, '\0');
  const bool seen = ::fstat(file, &status) == 0;
  const ssize_t got = seen ? ::read(file, text.data(), text.size()) : -1;
  const int reason = errno;
  ::close(file);
  if (got < 0) throw base::io_error(path, "read", reason);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
    throw Error(ErrorCode::invalid_argument, cat(path, ": expected a file that this user alone may read"),
                "chmod 600 it; if others have read it, remove it: a new one is drawn.");
  text.resize(static_cast<std::size_t>(got));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() != kDigits || !std::all_of(text.begin(), text.end(), is_digit))
    throw Error(ErrorCode::format, cat(path, ": expected ", kDigits, " hexadecimal digits"),
                "Remove it: a new one is drawn.");
  return text;
}

void write_new(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) throw base::io_error(path, "create", errno);
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int reason = written ? 0 : errno;
  if (::close(file) == 0 && written) return;
  ::unlink(path.c_str());
  throw base::io_error(path, "write", reason == 0 ? EIO : reason);
}

}  // namespace

std::string installation_secret(const std::string& folder) {
  const std::string path = folder + "/secret";
  std::string secret = read_secret(path);
  if (!secret.empty()) return secret;
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const std::string own = cat(path, ".", ::getpid());
  ::unlink(own.c_str());
  write_new(own, draw() + "\n");
  // Whole or not at all, and the first one wins.
  const int linked = ::link(own.c_str(), path.c_str());
  const int reason = linked == 0 ? 0 : errno;
  ::unlink(own.c_str());
  if (linked != 0 && reason != EEXIST) throw base::io_error(path, "create", reason);
  secret = read_secret(path);
  if (secret.empty()) throw base::io_error(path, "read", ENOENT);
  return secret;
}

}  // namespace minke::cli
