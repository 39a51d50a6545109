// The two names by which a hub knows a file's contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace minke::hub {

enum class HashKind {
  sha256,    ///< of the bytes: large files (Git LFS)
  git_blob,  ///< SHA-1 of "blob SIZE\0" and the bytes: the small files that Git itself holds
};

/// What a file must hash to, in lower-case hexadecimal digits.
struct FileHash {
  HashKind kind = HashKind::sha256;
  std::string digits;

  bool operator==(const FileHash&) const = default;
};

/// 64 digits are a SHA-256, 40 a Git blob; an ETag's quotes and "W/" are taken off first. False for anything else.
bool parse_hash(std::string_view text, FileHash& hash);

/// OpenSSL's, which uses the processor's instructions for it: about 1.5 GB/s.
class Hasher {
 public:
  /// `size`: of the whole file, which a Git blob's hash begins with.
  Hasher(HashKind kind, std::uint64_t size);
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(std::span<const std::byte> bytes);
  /// Ends it: lower-case hexadecimal digits.
  std::string finish();

 private:
  void* context_;
};

/// Of a whole file. `on_bytes` is told the bytes read since the last call, and may throw to stop. Error(io).
std::string hash_file(const std::string& path, HashKind kind, const std::function<void(std::uint64_t)>& on_bytes);

}  // namespace minke::hub
