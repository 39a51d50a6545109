#include "engine/disk_cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <system_error>

#include "base/error.h"
#include "base/signals_blocked.h"
#include "engine/kv_cache.h"

namespace minke::engine {
namespace {

using base::cat;
using Clock = std::chrono::steady_clock;

/// The newest measurement's weight.
constexpr double kNewest = 0.2;
/// While reading is thought to be too slow, the thought fades: after a dozen requests it is tried again.
constexpr double kFading = 0.95;
/// Blocks' worth of time that a load may be behind computing before it is given up: the first may wait for the disk.
constexpr double kPatience = 4;
/// Files that the system is asked to read ahead of the one that is read.
constexpr std::size_t kAhead = 4;
/// At the end; what has not been written by then is not.
constexpr auto kLastWrites = std::chrono::seconds(2);
constexpr std::int64_t kMinute = 60'000'000'000;

std::int64_t now_steady() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

std::int64_t now_since_1970() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string reason_text(int reason) { return std::generic_category().message(reason); }

std::size_t slots_for(const DiskCacheOptions& options, std::size_t block_bytes) {
  return std::clamp<std::size_t>(static_cast<std::size_t>(options.staging_bytes / block_bytes), 2, 1024);
}

/// The whole file into two places; false when it is longer or shorter, or cannot be read.
bool read_file(int file, DiskHeader& header, std::span<std::byte> payload) {
  struct stat status {};
  const std::size_t total = header.size() + payload.size();
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(total))
    return false;
  for (std::size_t done = 0; done < total;) {
    const std::size_t in_header = std::min(done, header.size()), in_payload = done - in_header;
    const iovec pieces[2] = {{header.data() + in_header, header.size() - in_header},
                             {payload.data() + in_payload, payload.size() - in_payload}};
    const ssize_t got = ::preadv(file, pieces, 2, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

DiskCache::DiskCache(std::shared_ptr<DiskFolder> folder, const base::Digest& fingerprint, std::size_t block_bytes,
                     std::function<void()> wake, std::function<void(const std::string&)> warn)
    : fingerprint_(fingerprint),
      block_bytes_(block_bytes),
      folder_(std::move(folder)),
      wake_(std::move(wake)),
      warn_(std::move(warn)),
      slots_(slots_for(folder_->options(), block_bytes)) {
  staging_.reset(new std::byte[slots_.size() * block_bytes]);  // its pages come when they are used
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].data = staging_.get() + i * block_bytes;
  const base::SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw base::Error(base::ErrorCode::io, cat("cannot start the disk's thread: ", error.what()));
  }
  pthread_setname_np(thread_.native_handle(), "minke-disk");
}

DiskCache::~DiskCache() {
  stop_.store(true, std::memory_order_release);
  signal_.raise();
  thread_.join();
}

bool DiskCache::offer(const base::Digest& realm, const base::Digest& parent, const base::Digest& name,
                      std::span<const TokenId> tokens, const std::byte* data) noexcept {
  if (!writing_.load(std::memory_order_relaxed)) return false;
  const std::uint64_t at = offered_.load(std::memory_order_relaxed);
  if (at - taken_.load(std::memory_order_acquire) == slots_.size()) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  Slot& slot = slots_[at % slots_.size()];
  slot.key.fingerprint = fingerprint_;
  slot.key.realm = realm;
  slot.key.parent = parent;
  slot.key.name = name;
  std::copy_n(tokens.begin(), slot.key.tokens.size(), slot.key.tokens.begin());
  std::memcpy(slot.data, data, block_bytes_);
  offered_.store(at + 1, std::memory_order_release);
  signal_.raise();
  return true;
}

bool DiskCache::worth_reading(double compute_seconds) noexcept {
  const double read = read_seconds_.load(std::memory_order_relaxed);
  if (compute_seconds <= 0 || read < compute_seconds) return true;
  read_seconds_.store(kFading * read, std::memory_order_relaxed);
  return false;
}

void DiskCache::read(std::shared_ptr<DiskLoad> load) {
  {
    const std::lock_guard lock(mutex_);
    loads_.push_back(std::move(load));
  }
  signal_.raise();
}

DiskCache::Stats DiskCache::stats() const noexcept {
  return {.read = read_.load(std::memory_order_relaxed),
          .written = written_.load(std::memory_order_relaxed),
          .dropped = dropped_.load(std::memory_order_relaxed),
          .refused = refused_.load(std::memory_order_relaxed),
          .bytes = folder_->bytes()};
}

// ---- the disk's thread

void DiskCache::run() noexcept {
  std::int64_t end = 0;
  while (true) {
    const std::uint32_t seen = signal_.value();
    const bool stop = stop_.load(std::memory_order_acquire);
    if (stop && end == 0) end = now_steady() + std::chrono::nanoseconds(kLastWrites).count();
    if (const std::shared_ptr<DiskLoad> load = next_load()) {
      try {
        if (!stop) run_load(*load);
      } catch (const std::exception& error) {
        warn_once_a_minute(cat(folder_->path(), ": cached blocks cannot be read: ", error.what()));
      }
      load->done.store(true, std::memory_order_release);
      wake_();
      continue;
    }
    if (stop && now_steady() > end) return;
    if (write_one()) continue;
    if (stop) return;
    signal_.wait(seen, std::chrono::seconds(1));
  }
}

std::shared_ptr<DiskLoad> DiskCache::next_load() {
  const std::lock_guard lock(mutex_);
  if (loads_.empty()) return nullptr;
  std::shared_ptr<DiskLoad> load = std::move(loads_.front());
  loads_.pop_front();
  return load;
}

DiskCache::Found::~Found() {
  if (descriptor >= 0) ::close(descriptor);
}

/// Names the block and opens its file; false when there is none. `parent` goes on to it.
bool DiskCache::find(DiskLoad& load, std::size_t part, base::Digest& parent, Found& found) {
  const DiskLoad::Part& wanted = load.parts[part];
  found.key.fingerprint = fingerprint_;
  found.key.realm = wanted.realm;
  found.key.parent = parent;
  found.key.name = block_name(parent, wanted.realm, wanted.tokens);
  found.key.tokens = wanted.tokens;
  found.file = DiskFolder::file_name(parent, found.key.name);
  parent = found.key.name;
  found.descriptor = folder_->open(found.file);
  if (found.descriptor < 0) {
    if (errno != ENOENT) warn_once_a_minute(cat(folder_->path(), "/", found.file, ": ", reason_text(errno)));
    return false;
  }
  ::posix_fadvise(found.descriptor, 0, 0, POSIX_FADV_WILLNEED);
  return true;
}

void DiskCache::run_load(DiskLoad& load) {
  const Clock::time_point start = Clock::now();
  const std::int64_t wall = now_since_1970();
  const auto elapsed = [&start] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  std::deque<Found> ahead;
  base::Digest parent = load.parent;
  std::size_t opened = 0;
  bool more = true;
  for (std::size_t i = 0; i < load.parts.size() && !load.cancelled.load(std::memory_order_acquire); ++i) {
    while (more && opened < load.parts.size() && ahead.size() < kAhead) {
      ahead.emplace_back();
      more = find(load, opened++, parent, ahead.back());
      if (!more) ahead.pop_back();
    }
    if (ahead.empty()) break;
    const bool good = read_block(ahead.front(), load.parts[i].to);
    // The beginning of a chain counts as the last one used.
    if (good) DiskFolder::mark_used(ahead.front().descriptor, wall - static_cast<std::int64_t>(i) * 1000);
    ahead.pop_front();
    if (!good) break;
    load.loaded.store(i + 1, std::memory_order_release);
    read_.fetch_add(1, std::memory_order_relaxed);
    const double blocks = static_cast<double>(i + 1);
    if (load.compute_seconds > 0 && elapsed() > load.compute_seconds * (blocks + kPatience)) break;
  }
  const std::size_t loaded = load.loaded.load(std::memory_order_relaxed);
  if (loaded == 0) return;
  const double took = elapsed() / static_cast<double>(loaded), before = read_seconds_.load(std::memory_order_relaxed);
  read_seconds_.store(before == 0 ? took : before + kNewest * (took - before), std::memory_order_relaxed);
}

bool DiskCache::read_block(const Found& found, std::byte* to) {
  DiskHeader header;
  const std::span<std::byte> payload(to, block_bytes_);
  const std::string_view wrong = read_file(found.descriptor, header, payload)
                                     ? check_disk_block(header, payload, found.key)
                                     : "is longer or shorter than a block, or cannot be read";
  if (wrong.empty()) return true;
  refused_.fetch_add(1, std::memory_order_relaxed);
  folder_->remove(found.file);
  warn_once_a_minute(cat(folder_->path(), "/", found.file, " ", wrong, "; it is not used"));
  return false;
}

bool DiskCache::write_one() {
  const std::uint64_t at = taken_.load(std::memory_order_relaxed);
  if (paused_until_ != 0 && now_steady() >= paused_until_) {
    paused_until_ = 0;
    writing_.store(true, std::memory_order_relaxed);
  }
  if (at == offered_.load(std::memory_order_acquire)) return false;
  if (writing_.load(std::memory_order_relaxed)) {
    try {
      write_block(slots_[at % slots_.size()]);
    } catch (const std::exception& error) {
      writing_.store(false, std::memory_order_relaxed);
      warn_once_a_minute(cat(folder_->path(), ": cached blocks are not written any more: ", error.what()));
    }
  }
  taken_.store(at + 1, std::memory_order_release);
  return true;
}

void DiskCache::write_block(const Slot& slot) {
  switch (folder_->write(slot.key, {slot.data, block_bytes_})) {
    case DiskFolder::Written::yes:
      written_.fetch_add(1, std::memory_order_relaxed);
      break;
    case DiskFolder::Written::there:
      break;
    case DiskFolder::Written::no_room:
      writing_.store(false, std::memory_order_relaxed);
      paused_until_ = now_steady() + kMinute;
      warn_once_a_minute(cat(folder_->path(), ": no room for cached blocks: it is tried again in a minute"));
      break;
    case DiskFolder::Written::failed: {
      const int reason = errno;
      writing_.store(false, std::memory_order_relaxed);
      warn_once_a_minute(
          cat(folder_->path(), ": cannot write: ", reason_text(reason), "; cached blocks are not written any more"));
      break;
    }
  }
}

/// A broken disk must not fill a log.
void DiskCache::warn_once_a_minute(const std::string& text) {
  const std::int64_t now = now_steady();
  if (now < silent_until_) return;
  silent_until_ = now + kMinute;
  if (warn_) warn_(text);
}

}  // namespace minke::engine
