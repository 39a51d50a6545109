// The lock of one model of the store: script/fetch-model, `minke pull` and `minke rm` take it.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace minke::hub {

/// Held until the object dies.
class StoreLock {
 public:
  /// Takes the lock at `path`, or Error(io) naming the model when somebody has it.
  StoreLock(const std::filesystem::path& path, std::string_view name);
  /// Waits for it: `waiting` is called once if somebody has it, and `cancelled` asked ten times a second.
  /// Error(cancelled).
  StoreLock(const std::filesystem::path& path, const std::function<void()>& waiting,
            const std::function<bool()>& cancelled);
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;
  ~StoreLock();

 private:
  void open(const std::filesystem::path& path);
  bool try_lock(const std::filesystem::path& path) const;

  int descriptor_ = -1;
};

}  // namespace minke::hub
