#include "hub/hf_cache.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/read_file.h"

namespace minke::hub {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kCommitDigits = 40;
constexpr std::uint64_t kMaxRef = 256;
constexpr int kMaxDepth = 8;

bool is_commit(std::string_view text) {
  FileHash hash;
  return text.size() == kCommitDigits && parse_hash(text, hash);
}

std::string commit_of(const fs::path& folder, const std::string& revision) {
  if (is_commit(revision)) return revision;
  if (!is_safe_path(revision)) return {};
  try {
    std::string text = base::read_file((folder / "refs" / revision).string(), kMaxRef);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return is_commit(text) ? text : std::string();
  } catch (const base::Error&) {
    return {};
  }
}

/// A file of a snapshot, if its contents are named by a hash.
std::optional<RepoFile> snapshot_file(const fs::path& snapshot, const fs::path& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  RepoFile file;
  if (error || !parse_hash(target.filename().string(), file.hash)) return std::nullopt;
  file.size = fs::file_size(path, error);
  file.path = path.lexically_relative(snapshot).generic_string();
  if (error || !is_safe_path(file.path)) return std::nullopt;
  return file;
}

}  // namespace

fs::path HfCache::folder(const std::string& repo) const {
  const std::size_t slash = std::min(repo.find('/'), repo.size());
  return root_ / base::cat("models--", repo.substr(0, slash), "--", repo.substr(std::min(slash + 1, repo.size())));
}

std::optional<fs::path> HfCache::find(const std::string& repo, const RepoFile& file) const {
  if (root_.empty()) return std::nullopt;
  std::error_code error;
  const fs::path blob = folder(repo) / "blobs" / file.hash.digits;
  if (!fs::is_regular_file(blob, error) || fs::file_size(blob, error) != file.size || error) return std::nullopt;
  // What is linked to must not depend on the current folder.
  const fs::path absolute = fs::canonical(blob, error);
  return error ? std::nullopt : std::optional(absolute);
}

std::optional<Repository> HfCache::snapshot(const std::string& repo, const std::string& revision) const {
  if (root_.empty()) return std::nullopt;
  const std::string commit = commit_of(folder(repo), revision);
  const fs::path snapshot = folder(repo) / "snapshots" / commit;
  std::error_code error;
  if (commit.empty() || !fs::is_directory(snapshot, error)) return std::nullopt;
  Repository result{.name = repo, .commit = commit, .files = {}};
  fs::recursive_directory_iterator entries(snapshot, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (entries.depth() > kMaxDepth) entries.disable_recursion_pending();
    if (auto file = snapshot_file(snapshot, entries->path())) result.files.push_back(std::move(*file));
  }
  std::sort(result.files.begin(), result.files.end(),
            [](const RepoFile& a, const RepoFile& b) { return a.path < b.path; });
  return result;
}

}  // namespace minke::hub
