#include "hub/remote_headers.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace minke::hub {

namespace fs = std::filesystem;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

/// A vocabulary of 150,000 tokens with its merges is 5 to 6 MB of a GGUF's header.
constexpr std::uint64_t kFirstPart = std::uint64_t{1} << 20;
constexpr std::uint64_t kGrowth = 4;
constexpr std::uint64_t kMaxGgufHeader = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxSafetensorsHeader = std::uint64_t{32} << 20;
/// DeepSeek-R1 has 163 files, a request each; its configuration says as much.
constexpr std::ptrdiff_t kMaxShards = 16;
constexpr std::uint64_t kMaxSmallFile = std::uint64_t{32} << 20;

class SparseFile {
 public:
  SparseFile(const fs::path& path, std::uint64_t size) : path_(path.string()) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ < 0) throw base::io_error(path_, "create", errno);
    if (::ftruncate(fd_, static_cast<off_t>(size)) == 0) return;
    const int reason = errno;
    ::close(fd_);
    throw base::io_error(path_, "set the size of", reason);
  }
  SparseFile(const SparseFile&) = delete;
  SparseFile& operator=(const SparseFile&) = delete;
  ~SparseFile() { ::close(fd_); }

  void write(std::span<const std::byte> bytes) const {
    for (std::uint64_t at = 0; at < bytes.size();) {
      const ssize_t count = ::pwrite(fd_, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw base::io_error(path_, "write", count < 0 ? errno : EIO);
      at += static_cast<std::uint64_t>(count);
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
};

class HeaderFetcher {
 public:
  HeaderFetcher(const HubClient& hub, const Repository& repo) : hub_(hub), repo_(repo) {}

  std::uint64_t fetched() const noexcept { return fetched_; }

  /// The file's start, so much of it that it holds the header.
  std::vector<std::byte> gguf(const RepoFile& file) {
    const std::uint64_t most = std::min(file.size, kMaxGgufHeader);
    std::vector<std::byte> start;
    std::string before;
    for (std::uint64_t size = std::min(kFirstPart, most);; size = std::min(size * kGrowth, most)) {
      extend(file, size, start);
      try {
        formats::parse_gguf(start, file.size, source(file));
        return start;
      } catch (const Error& error) {
        // An end that comes too early is reported with how much was left: more bytes change that. What they do not
        // change is wrong in itself.
        if (error.code() != ErrorCode::format || size == most || error.message() == before) throw;
        before = error.message();
      }
    }
  }

  std::vector<std::byte> safetensors(const RepoFile& file) {
    std::vector<std::byte> start;
    std::uint64_t length = 0;
    extend(file, std::min(kFirstPart, file.size), start);
    if (start.size() >= sizeof length) std::memcpy(&length, start.data(), sizeof length);
    // A length that cannot be is the parser's to refuse.
    if (length <= kMaxSafetensorsHeader && file.size >= sizeof length && length <= file.size - sizeof length)
      extend(file, sizeof length + length, start);
    formats::parse_safetensors(start, file.size, source(file));
    return start;
  }

  std::string small(const RepoFile& file) {
    std::string text = hub_.read_all(repo_, file, kMaxSmallFile);
    fetched_ += text.size();
    return text;
  }

 private:
  std::string source(const RepoFile& file) const { return cat(repo_.name, "/", file.path); }

  void extend(const RepoFile& file, std::uint64_t size, std::vector<std::byte>& start) {
    if (size <= start.size()) return;
    const ByteRange range{.first = start.size(), .size = size - start.size()};
    hub_.read(repo_, file, range, [&](std::span<const std::byte> bytes) {
      start.insert(start.end(), bytes.begin(), bytes.end());
      fetched_ += bytes.size();
    });
  }

  const HubClient& hub_;
  const Repository& repo_;
  std::uint64_t fetched_ = 0;
};

bool is_read_whole(std::string_view name) {
  constexpr std::array<std::string_view, 5> kTexts = {"config.json", "generation_config.json", "tokenizer_config.json",
                                                      "model.safetensors.index.json", "special_tokens_map.json"};
  return std::find(kTexts.begin(), kTexts.end(), name) != kTexts.end() || name.starts_with("chat_template.");
}

}  // namespace

RemoteHeaders fetch_headers(const HubClient& hub, const Repository& repo, const ModelVariant& variant,
                            const fs::path& folder) {
  HeaderFetcher fetcher(hub, repo);
  const auto shards = std::count_if(variant.files.begin(), variant.files.end(),
                                    [](const RepoFile& file) { return file.path.ends_with(".safetensors"); });
  const bool planned = shards > kMaxShards;
  for (const RepoFile& file : variant.files) {
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    if (variant.gguf) {
      const std::vector<std::byte> start = fetcher.gguf(file);
      SparseFile(folder / name, file.size).write(start);
    } else if (planned && (name.ends_with(".safetensors") || name.ends_with(".index.json"))) {
      continue;
    } else if (name.ends_with(".safetensors")) {
      const std::vector<std::byte> start = fetcher.safetensors(file);
      SparseFile(folder / name, file.size).write(start);
    } else if (is_read_whole(name)) {
      const std::string text = fetcher.small(file);
      SparseFile(folder / name, text.size()).write(std::as_bytes(std::span(text)));
    }
  }
  const std::string& first = variant.files.front().path;
  return {.path = variant.gguf ? folder / first.substr(first.rfind('/') + 1) : folder, .fetched = fetcher.fetched()};
}

}  // namespace minke::hub
