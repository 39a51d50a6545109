// A place for files that nobody keeps.
#pragma once

#include <string>

namespace minke::cli {

/// A folder of this process's own in the system's place for such, gone with the object. Those that processes which were
/// killed have left behind go when the next is made.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  int fd_ = -1;  ///< of the folder, locked: somebody lives in it
};

}  // namespace minke::cli
