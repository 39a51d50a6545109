// Files that other programs fetched from the hub, in Hugging Face's cache on this machine. It is only read.
//
//   CACHE/models--USER--REPO/refs/main                   the commit that "main" was
//   CACHE/models--USER--REPO/snapshots/COMMIT/FILE       a link to ../../blobs/HASH
//   CACHE/models--USER--REPO/blobs/HASH                  the bytes, by SHA-256 or Git blob
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "hub/hub_client.h"

namespace minke::hub {

class HfCache {
 public:
  /// An empty path: no cache.
  explicit HfCache(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const noexcept { return root_; }

  /// The blob of a file of `repo`, if it is there in its full length. Its bytes are not checked.
  std::optional<std::filesystem::path> find(const std::string& repo, const RepoFile& file) const;

  /// What of REPO at REVISION is here: for machines without the hub. Files whose contents are not named by a hash are
  /// left out. nullopt when that revision is not here.
  std::optional<Repository> snapshot(const std::string& repo, const std::string& revision) const;

 private:
  std::filesystem::path folder(const std::string& repo) const;

  std::filesystem::path root_;
};

}  // namespace minke::hub
