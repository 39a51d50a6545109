// A model of the hub into the store.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hub/download.h"
#include "hub/hf_cache.h"
#include "hub/hub_client.h"
#include "hub/model_store.h"

namespace minke::hub {

struct PullRequest {
  std::string name;      ///< store name it gets
  std::string revision;  ///< as asked for: "main"
  Repository repo;
  std::vector<RepoFile> files;  ///< which of the repository's; each is stored under its path's last part
  bool offline = false;         ///< only what the cache has
};

/// Told what happens; any may be empty. Called by the thread that called pull().
struct PullEvents {
  std::function<void()> waiting;                                          ///< for another pull of this model
  std::function<void(std::uint64_t bytes)> resuming;                      ///< so much is here of an earlier run
  std::function<void(const DownloadProgress&)> progress;                  ///< ten times a second
  std::function<void(std::uint64_t done, std::uint64_t total)> checking;  ///< files of the cache
};

struct PullResult {
  bool was_here = false;     ///< nothing had to be done
  std::uint64_t bytes = 0;   ///< of the model's files
  std::uint64_t shared = 0;  ///< of them, linked from the Hugging Face cache
  std::uint64_t fetched = 0;
};

/// Fetches what is not here, checks it, and puts the model's folder in its place at once. A file of the Hugging Face
/// cache whose bytes are right is linked, not fetched. What is fetched lies in ROOT/.tmp/pull-FOLDER until all of it is
/// there; an interrupted pull is taken up. Errors: those of download(); invalid_argument when there is another model of
/// that name; io for too small a disk, before anything is fetched.
PullResult pull(const ModelStore& store, const HubOptions& hub, const HfCache& cache, const PullRequest& request,
                const DownloadOptions& options, const PullEvents& events);

}  // namespace minke::hub
