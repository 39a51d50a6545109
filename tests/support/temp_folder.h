// A folder of a test's own that is gone with its content at the end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace minke::test {

class TempFolder {
 public:
  enum class Place {
    disk,
    memory,  ///< where the system offers that: for fuzzing, which writes thousands of files a second
  };

  explicit TempFolder(Place place = Place::disk) {
    namespace fs = std::filesystem;
    const fs::path shared("/dev/shm");
    std::error_code ignored;
    const bool in_memory = place == Place::memory && fs::is_directory(shared, ignored);
    std::string pattern = ((in_memory ? shared : fs::temp_directory_path()) / "minke-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Writes a file and its folders; returns its path.
  std::string write(std::string_view name, std::string_view content) const {
    const std::string to = file(name);
    std::filesystem::create_directories(std::filesystem::path(to).parent_path());
    std::ofstream(to, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return to;
  }
  void remove(std::string_view name) const {
    std::error_code ignored;
    std::filesystem::remove(file(name), ignored);
  }

 private:
  std::string path_;
};

}  // namespace minke::test
