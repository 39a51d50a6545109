#include "hub/file_hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <vector>

#include "base/error.h"

namespace minke::hub {

namespace {

constexpr std::size_t kReadSize = std::size_t{1} << 20;

struct OpenFile {
  explicit OpenFile(const std::string& path) : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd < 0) throw base::io_error(path, "open", errno);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd); }
  int fd;
};

EVP_MD_CTX* context_of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

}  // namespace

bool parse_hash(std::string_view text, FileHash& hash) {
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  const bool hexadecimal =
      std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  constexpr std::size_t kSha256Digits = 64;
  constexpr std::size_t kSha1Digits = 40;
  if (!hexadecimal || (text.size() != kSha256Digits && text.size() != kSha1Digits)) return false;
  hash = {.kind = text.size() == kSha256Digits ? HashKind::sha256 : HashKind::git_blob, .digits = std::string(text)};
  return true;
}

Hasher::Hasher(HashKind kind, std::uint64_t size) : context_(::EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  if (::EVP_DigestInit_ex(context_of(context_), kind == HashKind::sha256 ? ::EVP_sha256() : ::EVP_sha1(), nullptr) !=
      1) {
    ::EVP_MD_CTX_free(context_of(context_));
    throw base::Error(base::ErrorCode::unsupported, "this system's OpenSSL does not compute SHA-1 or SHA-256");
  }
  if (kind == HashKind::git_blob) {
    std::string head = base::cat("blob ", size);
    head.push_back('\0');
    add(std::as_bytes(std::span(head)));
  }
}

Hasher::~Hasher() { ::EVP_MD_CTX_free(context_of(context_)); }

void Hasher::add(std::span<const std::byte> bytes) {
  ::EVP_DigestUpdate(context_of(context_), bytes.data(), bytes.size());
}

std::string Hasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  ::EVP_DigestFinal_ex(context_of(context_), digest.data(), &size);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text.push_back(kDigits[digest[i] >> 4U]);
    text.push_back(kDigits[digest[i] & 15U]);
  }
  return text;
}

std::string hash_file(const std::string& path, HashKind kind, const std::function<void(std::uint64_t)>& on_bytes) {
  const OpenFile file(path);
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) throw base::io_error(path, "look at", errno);
  Hasher hasher(kind, static_cast<std::uint64_t>(status.st_size));
  std::vector<std::byte> buffer(kReadSize);
  for (;;) {
    const ssize_t count = ::read(file.fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw base::io_error(path, "read", errno);
    if (count == 0) return hasher.finish();
    hasher.add(std::span(buffer).first(static_cast<std::size_t>(count)));
    if (on_bytes) on_bytes(static_cast<std::uint64_t>(count));
  }
}

}  // namespace minke::hub
