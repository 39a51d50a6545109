// Files of one revision of a repository, onto the disk, over several connections.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/hub_client.h"
#include "hub/retry.h"

namespace minke::hub {

struct DownloadProgress {
  std::uint64_t done = 0;     ///< bytes that are here, those of earlier runs included
  std::uint64_t total = 0;    ///< of all files
  std::uint64_t fetched = 0;  ///< over the network by this run
  std::uint64_t checked = 0;  ///< hashed
  std::string trouble;        ///< why a connection waits before it tries again; empty when none does
};

struct DownloadOptions {
  std::size_t connections = 4;
  /// A file is asked for in pieces of this size, so that connections share it. 64 MiB: at 100 MB/s a new connection's
  /// two round trips are 5 % of a piece's time.
  std::uint64_t piece = std::uint64_t{64} << 20;
  std::uint64_t least_piece = std::uint64_t{4} << 20;
  RetryPolicy retry;  ///< of a connection without a byte
};

/// Leaves a HASH.done (hub/partial_file.h) in `folder` for each of `files`, each checked against its hash. What an
/// earlier call left there is taken up. `on_progress` is called ten times a second by this thread. Errors: those of
/// HubClient::read when they do not pass; Error(format) for contents of another hash; io; cancelled. What was fetched
/// stays, but for what proved wrong.
void download(const HubOptions& hub, const Repository& repo, const std::vector<RepoFile>& files,
              const std::filesystem::path& folder, const DownloadOptions& options,
              const std::function<void(const DownloadProgress&)>& on_progress);

/// Bytes that `folder` has of `files` already, and those that the disk must still hold for them.
struct DownloadNeed {
  std::uint64_t here = 0;
  std::uint64_t disk = 0;
};
DownloadNeed download_need(const std::vector<RepoFile>& files, const std::filesystem::path& folder);

}  // namespace minke::hub
