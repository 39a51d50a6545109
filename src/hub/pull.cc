#include "hub/pull.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

#include "base/error.h"
#include "base/new_file.h"
#include "hub/partial_file.h"
#include "hub/store_lock.h"
#include "hub/store_record.h"

namespace minke::hub {

namespace fs = std::filesystem;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t kSpareBytes = 64u << 20;  // a disk filled to the last byte helps nobody

std::string name_in_folder(const RepoFile& file) { return file.path.substr(file.path.rfind('/') + 1); }

void check(const std::error_code& error, const fs::path& path, std::string_view action) {
  if (error) throw base::io_error(path.string(), action, error.value());
}

void make_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(error, path, "create the folder");
}

void sync_folder(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw base::io_error(path.string(), "open", errno);
  const int result = ::fsync(fd);
  const int reason = errno;
  ::close(fd);
  if (result != 0 && reason != EINVAL) throw base::io_error(path.string(), "write out", reason);
}

/// Symbolic links and hard ones where they serve; a file system without hard links (exFAT) has the file moved.
void link_or_move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) fs::rename(from, to, error);
  check(error, to, "put the file in its place");
}

class Pull {
 public:
  Pull(const ModelStore& store, const HubOptions& hub, const HfCache& cache, const PullRequest& request,
       const DownloadOptions& options, const PullEvents& events)
      : hub_(hub),
        cache_(cache),
        request_(request),
        options_(options),
        events_(events),
        folder_(store.root() / folder_for_name(request.name)),
        temporary_(store.root() / ".tmp"),
        work_(temporary_ / cat("pull-", folder_for_name(request.name))) {}

  PullResult run() {
    make_folders(temporary_);
    const StoreLock lock(temporary_ / cat(folder_.filename().string(), ".lock"), events_.waiting,
                         hub_.network.cancelled);
    for (const RepoFile& file : request_.files) result_.bytes += file.size;
    undo_half_replacement();
    look_at_present();
    if (result_.was_here) return result_;
    make_folders(work_);
    find_sources();
    check_disk();
    if (!missing_.empty()) fetch();
    assemble();
    replace();
    return result_;
  }

 private:
  /// A kill between the two renames of replace() leaves the older revision moved away and nothing in its place.
  void undo_half_replacement() const {
    std::error_code error;
    if (fs::exists(fs::symlink_status(folder_, error)) || !fs::is_directory(work_ / "old", error)) return;
    fs::rename(work_ / "old", folder_, error);
    check(error, folder_, "put the older revision back");
  }

  /// What stands under this name already: this model, an older revision of it, or something else.
  void look_at_present() {
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(folder_, ignored))) return;
    const auto record = read_record(folder_);
    bool all = record.has_value();
    for (const RepoFile& file : request_.files) {
      const bool same = record && is_recorded(*record, file);
      all = all && same;
      if (same) present_[file.hash.digits] = folder_ / name_in_folder(file);
    }
    result_.was_here = all;
    const bool empty = fs::is_directory(folder_, ignored) && fs::is_empty(folder_, ignored);
    if (!all && !empty && (!record || record->source != "hub"))
      throw Error(ErrorCode::invalid_argument,
                  cat(request_.name, ": there is a model of that name which is not from the hub: ", folder_.string()),
                  cat("another name: --name NAME; or `minke rm ", request_.name, "` first"));
  }

  bool is_recorded(const StoreRecord& record, const RepoFile& file) const {
    const std::string name = name_in_folder(file);
    const fs::path path = folder_ / name;
    std::error_code error;
    const bool there = fs::is_regular_file(path, error) && fs::file_size(path, error) == file.size && !error;
    return there && std::any_of(record.files.begin(), record.files.end(), [&](const RecordedFile& recorded) {
             return recorded.name == name && recorded.bytes == file.size && recorded.hash == file.hash.digits;
           });
  }

  /// Where each file is to come from: the model's folder, the cache, or the hub.
  void find_sources() {
    std::uint64_t checked = 0;
    for (const RepoFile& file : request_.files) {
      if (present_.contains(file.hash.digits) || PartialFile::is_done(work_, file)) continue;
      const auto blob = cache_.find(request_.repo.name, file);
      if (blob) {
        const auto on_bytes = [&](std::uint64_t bytes) {
          if (hub_.network.cancelled && hub_.network.cancelled()) throw Error(ErrorCode::cancelled, "stopped");
          checked += bytes;
          if (events_.checking) events_.checking(checked, result_.bytes);
        };
        if (hash_file(blob->string(), file.hash.kind, on_bytes) == file.hash.digits) {
          shared_[file.hash.digits] = *blob;
          result_.shared += file.size;
          continue;
        }
      }
      missing_.push_back(file);
    }
    if (request_.offline && !missing_.empty())
      throw Error(ErrorCode::not_found,
                  cat(request_.repo.name, ": ", missing_.front().path, " is not in the Hugging Face cache ",
                      cache_.root().string(), ", and HF_HUB_OFFLINE is set"),
                  "unset HF_HUB_OFFLINE to fetch it");
  }

  void check_disk() const {
    const DownloadNeed need = download_need(missing_, work_);
    const std::uint64_t free = base::free_disk_space((work_ / "x").string());
    if (need.here > 0 && events_.resuming) events_.resuming(need.here);
    if (need.disk > 0 && free < need.disk + kSpareBytes)
      throw Error(ErrorCode::io,
                  cat(request_.name, ": the disk of ", temporary_.string(), " is too full: expected ",
                      need.disk + kSpareBytes, " free bytes, got ", free),
                  "make room, take a smaller quantisation (minke show NAME), or set MINKE_MODELS to another disk");
  }

  void fetch() {
    download(hub_, request_.repo, missing_, work_, options_, [this](const DownloadProgress& progress) {
      result_.fetched = progress.fetched;
      if (events_.progress) events_.progress(progress);
    });
  }

  /// The new folder, complete, beside the old one.
  void assemble() const {
    const fs::path files = work_ / "files";
    std::error_code error;
    fs::remove_all(files, error);
    make_folders(files);
    StoreRecord record{.source = "hub",
                       .origin = hub_.endpoint,
                       .repo = request_.repo.name,
                       .revision = request_.revision,
                       .commit = request_.repo.commit,
                       .files = {}};
    for (const RepoFile& file : request_.files) {
      const fs::path to = files / name_in_folder(file);
      put(file, to);
      record.files.push_back({name_in_folder(file), file.size, file.hash.digits});
    }
    write_record(files, record);
    sync_folder(files);
  }

  void put(const RepoFile& file, const fs::path& to) const {
    std::error_code error;
    if (const auto shared = shared_.find(file.hash.digits); shared != shared_.end()) {
      fs::create_symlink(shared->second, to, error);
      check(error, to, "create the link");
    } else if (const auto present = present_.find(file.hash.digits); present != present_.end()) {
      if (fs::is_symlink(present->second, error)) {
        fs::copy_symlink(present->second, to, error);
        check(error, to, "create the link");
      } else {
        link_or_move(present->second, to);
      }
    } else {
      link_or_move(work_ / cat(file.hash.digits, ".done"), to);
    }
  }

  void replace() const {
    std::error_code error;
    const fs::path old = work_ / "old";
    if (fs::exists(fs::symlink_status(folder_, error))) {
      fs::remove_all(old, error);
      fs::rename(folder_, old, error);
      check(error, folder_, "move the older revision away");
    }
    fs::rename(work_ / "files", folder_, error);
    check(error, folder_, "put the model in its place");
    sync_folder(folder_.parent_path());
    fs::remove_all(work_, error);  // never follows links; what is left is dropped by the next pull
  }

  const HubOptions& hub_;
  const HfCache& cache_;
  const PullRequest& request_;
  const DownloadOptions& options_;
  const PullEvents& events_;
  fs::path folder_, temporary_, work_;
  std::map<std::string, fs::path> present_, shared_;  // by hash
  std::vector<RepoFile> missing_;
  PullResult result_;
};

}  // namespace

PullResult pull(const ModelStore& store, const HubOptions& hub, const HfCache& cache, const PullRequest& request,
                const DownloadOptions& options, const PullEvents& events) {
  std::vector<std::string> names;
  for (const RepoFile& file : request.files) {
    names.push_back(name_in_folder(file));
    if (!is_safe_path(file.path) || names.back().starts_with('.'))
      throw Error(ErrorCode::format,
                  cat(request.repo.name, ": ", file.path, ": a name that a model's file cannot have"));
  }
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end())
    throw Error(ErrorCode::unsupported, cat(request.repo.name, ": two of its files have the same name"));
  return Pull(store, hub, cache, request, options, events).run();
}

}  // namespace minke::hub
