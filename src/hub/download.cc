#include "hub/download.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/signals_blocked.h"
#include "hub/partial_file.h"

namespace minke::hub {

using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr std::uint64_t kBlock = PartialFile::kBlock;

/// One file and what of it is being fetched. `mutex` guards all of it.
struct Item {
  Item(const std::filesystem::path& folder, const RepoFile& wanted) : file(wanted), partial(folder, wanted) {}

  const RepoFile& file;
  std::mutex mutex;
  PartialFile partial;
  std::vector<bool> claimed;  // (blocks): by a connection
  bool started = false;
  bool finishing = false;  // being hashed by one thread, without the mutex, or finished
  unsigned damaged_rounds = 0;
};

struct Piece {
  Item* item = nullptr;
  std::size_t first = 0, blocks = 0;
};

class Downloader {
 public:
  Downloader(const HubOptions& hub, const Repository& repo, const std::filesystem::path& folder,
             const DownloadOptions& options)
      : repo_(repo), folder_(folder), options_(options), outer_cancelled_(hub.network.cancelled), client_(own(hub)) {}

  void run(const std::vector<RepoFile>& files, const std::function<void(const DownloadProgress&)>& on_progress) {
    std::vector<std::string> seen;
    for (const RepoFile& file : files) {
      total_ += file.size;
      // The same bytes under two names are fetched once.
      const bool again = std::find(seen.begin(), seen.end(), file.hash.digits) != seen.end();
      seen.push_back(file.hash.digits);
      if (again || PartialFile::is_done(folder_, file)) {
        done_ += file.size;
        continue;
      }
      items_.push_back(std::make_unique<Item>(folder_, file));
      items_.back()->claimed.assign(items_.back()->partial.blocks(), false);
      done_ += items_.back()->partial.bytes_here();
    }
    start_threads();
    watch(on_progress);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    if (failure_) std::rethrow_exception(failure_);
    on_progress(progress());
  }

  ~Downloader() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Downloader(const Downloader&) = delete;
  Downloader& operator=(const Downloader&) = delete;

 private:
  HubOptions own(const HubOptions& hub) {
    HubOptions options = hub;
    options.network.cancelled = [this] { return stopped(); };
    return options;
  }

  bool stopped() const { return stop_ || (outer_cancelled_ && outer_cancelled_()); }

  void start_threads() {
    const base::SignalsBlocked blocked;
    std::size_t blocks = 0;
    for (const auto& item : items_) blocks += item->partial.blocks() + 1;
    // Small files are shared by connections, too.
    const std::uint64_t share = (total_ - done_) / (4 * std::max<std::size_t>(options_.connections, 1));
    piece_blocks_ = static_cast<std::size_t>(std::clamp(share, options_.least_piece, options_.piece) / kBlock);
    const std::size_t count = std::clamp<std::size_t>(std::min(options_.connections, blocks), 1, 64);
    running_ = count;
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }

  void watch(const std::function<void(const DownloadProgress&)>& on_progress) {
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      ended_.wait_for(lock, kTick);
      lock.unlock();
      try {
        on_progress(progress());
      } catch (...) {
        fail(std::current_exception());
      }
      lock.lock();
    }
  }

  DownloadProgress progress() {
    const std::lock_guard lock(mutex_);
    return {.done = done_, .total = total_, .fetched = fetched_, .checked = checked_, .trouble = trouble_};
  }

  /// The first failure is the one that is told; those that follow are its consequences.
  void fail(std::exception_ptr why) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(why);
    stop_ = true;
  }

  void work() {
    try {
      for (;;) {
        const std::optional<Piece> piece = next_piece();
        if (!piece) break;
        fetch(*piece);
        finish_if_whole(*piece->item);
      }
    } catch (...) {
      fail(std::current_exception());
    }
    const std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_all();
  }

  /// The next blocks that nobody has and nobody fetches.
  std::optional<Piece> next_piece() {
    for (const auto& owned : items_) {
      Item& item = *owned;
      const std::lock_guard lock(item.mutex);
      if (item.finishing) continue;
      Piece piece{.item = &item};
      if (!item.started) {
        item.partial.reserve();
        item.started = true;
        if (all_here(item)) return piece;
      }
      for (std::size_t block = 0; block < item.claimed.size() && piece.blocks < piece_blocks_; ++block) {
        const bool open = !item.claimed[block] && !item.partial.has(block);
        if (!open && piece.blocks > 0) break;
        if (!open) continue;
        if (piece.blocks == 0) piece.first = block;
        item.claimed[block] = true;
        ++piece.blocks;
      }
      if (piece.blocks > 0) return piece;
    }
    return std::nullopt;
  }

  static bool all_here(const Item& item) {
    for (std::size_t block = 0; block < item.partial.blocks(); ++block) {
      if (!item.partial.has(block)) return false;
    }
    return true;
  }

  void fetch(const Piece& piece) {
    if (piece.blocks == 0) return;
    Item& item = *piece.item;
    std::size_t block = piece.first;
    std::uint64_t position = block * kBlock;
    const std::uint64_t end = std::min((piece.first + piece.blocks) * kBlock, item.file.size);
    // What came of a block whose connection broke off is kept here, and the next one goes on behind it.
    std::vector<std::byte> buffer;
    buffer.reserve(static_cast<std::size_t>(std::min(kBlock, item.file.size)));
    const auto take = [&](std::span<const std::byte> bytes) {
      if (stopped()) throw Error(ErrorCode::cancelled, "stopped");
      while (!bytes.empty()) {
        const auto room = static_cast<std::size_t>(item.partial.block_bytes(block) - buffer.size());
        const std::span<const std::byte> part = bytes.first(std::min(room, bytes.size()));
        buffer.insert(buffer.end(), part.begin(), part.end());
        position += part.size();
        bytes = bytes.subspan(part.size());
        if (part.size() == room) {
          const std::lock_guard lock(item.mutex);
          item.partial.write(block, buffer);
          buffer.clear();
          ++block;
        }
        const std::lock_guard lock(mutex_);
        done_ += part.size();
        fetched_ += part.size();
        trouble_.clear();
      }
    };
    unsigned failures = 0;
    while (position < end) {
      const std::uint64_t before = position;
      try {
        client_.read(repo_, item.file, {.first = position, .size = end - position}, take);
      } catch (const TransportError& error) {
        failures = position > before ? 1 : failures + 1;
        wait(failures, std::chrono::seconds(0), error);
      } catch (const BusyError& error) {
        failures = position > before ? 1 : failures + 1;
        wait(failures, error.wait(), error);
      }
    }
  }

  void wait(unsigned failures, std::chrono::seconds asked, const Error& error) {
    {
      const std::lock_guard lock(mutex_);
      trouble_ = error.message();
    }
    wait_to_retry(options_.retry, failures, asked, [this] { return stopped(); });
  }

  void finish_if_whole(Item& item) {
    {
      const std::lock_guard lock(item.mutex);
      if (item.finishing || !all_here(item)) return;
      item.finishing = true;
    }
    const auto on_bytes = [this](std::uint64_t bytes) {
      if (stopped()) throw Error(ErrorCode::cancelled, "stopped");
      const std::lock_guard lock(mutex_);
      checked_ += bytes;
    };
    const std::uint64_t before = item.partial.bytes_here();
    bool sent_wrong = false;
    if (item.partial.finish(on_bytes, sent_wrong)) return;
    if (sent_wrong || ++item.damaged_rounds > 2) {
      throw Error(
          ErrorCode::format,
          cat(repo_.name, ": ", item.file.path, ": the bytes that came do not have the hash ", item.file.hash.digits,
              " of this revision"),
          "they were deleted. Run the command again; if it stays so, the hub or something on the way is at fault");
    }
    // Damaged on the disk (a loss of power): those blocks again.
    const std::lock_guard item_lock(item.mutex);
    for (std::size_t block = 0; block < item.claimed.size(); ++block) item.claimed[block] = item.partial.has(block);
    item.finishing = false;
    const std::lock_guard lock(mutex_);
    done_ -= before - item.partial.bytes_here();
  }

  const Repository& repo_;
  std::filesystem::path folder_;
  DownloadOptions options_;
  std::function<bool()> outer_cancelled_;
  std::atomic<bool> stop_{false};
  HubClient client_;
  std::vector<std::unique_ptr<Item>> items_;
  std::vector<std::thread> threads_;
  std::size_t piece_blocks_ = 1;

  std::mutex mutex_;  // guards what follows; taken after an item's
  std::condition_variable ended_;
  std::size_t running_ = 0;
  std::uint64_t done_ = 0, total_ = 0, fetched_ = 0, checked_ = 0;
  std::string trouble_;
  std::exception_ptr failure_;
};

}  // namespace

void download(const HubOptions& hub, const Repository& repo, const std::vector<RepoFile>& files,
              const std::filesystem::path& folder, const DownloadOptions& options,
              const std::function<void(const DownloadProgress&)>& on_progress) {
  Downloader downloader(hub, repo, folder, options);
  downloader.run(files, on_progress);
}

DownloadNeed download_need(const std::vector<RepoFile>& files, const std::filesystem::path& folder) {
  DownloadNeed need;
  for (const RepoFile& file : files) {
    if (PartialFile::is_done(folder, file)) {
      need.here += file.size;
      continue;
    }
    const PartialFile partial(folder, file);
    need.here += partial.bytes_here();
    need.disk += file.size - std::min(file.size, partial.bytes_reserved());
  }
  return need;
}

}  // namespace minke::hub
