#include "hub/model_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "base/error.h"

namespace minke::hub {

namespace fs = std::filesystem;
using base::cat;

namespace {

constexpr std::size_t kSplitDigits = 5;

bool parse_five_digits(std::string_view text, std::uint32_t& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

struct FileStat {
  bool regular = false;
  std::uint64_t bytes = 0;
  std::int64_t modified = 0;
};

// Follows symbolic links: a store may keep its files on another disk. A dangling link is not regular.
FileStat stat_file(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return {};
  }
  return {.regular = true, .bytes = static_cast<std::uint64_t>(status.st_size), .modified = status.st_mtim.tv_sec};
}

struct Listing {
  std::vector<std::string> files;  // that can be opened alone: .minke, single .gguf and first parts of split ones
  bool config = false;
  bool weights = false;  // model.safetensors or its index: the names that a checkpoint is opened by
  bool safetensors = false;
  FolderContents contents;
};

void add_file(Listing& listing, const std::string& name, const FileStat& file) {
  listing.contents.bytes += file.bytes;
  listing.contents.modified = std::max(listing.contents.modified, file.modified);
  if (name == "config.json") {
    listing.config = true;
  } else if (name == "model.safetensors" || name == "model.safetensors.index.json") {
    listing.weights = true;
  } else if (name.ends_with(".safetensors")) {
    listing.safetensors = true;
  } else if (name.ends_with(".gguf")) {
    listing.contents.any_model_file = true;
    if (parse_split_name(name).part <= 1) {
      listing.files.push_back(name);
    }
  } else if (name.ends_with(".minke")) {
    listing.contents.any_model_file = true;
    listing.files.push_back(name);
  }
  if (name == "config.json" || listing.weights || listing.safetensors) {
    listing.contents.any_model_file = true;
  }
}

Listing list_folder(const fs::path& folder) {
  Listing listing;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    const FileStat file = stat_file(entries->path());
    std::error_code not_there;
    if (file.regular && !name.starts_with('.')) {
      add_file(listing, name, file);
      if (entries->is_symlink(not_there)) listing.contents.linked += file.bytes;
    }
  }
  if (error) {
    throw base::io_error(folder.string(), "read the folder", error.value());
  }
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

std::string missing_text(const Listing& listing) {
  if (listing.config) {
    return "config.json without model.safetensors or model.safetensors.index.json";
  }
  if (listing.weights || listing.safetensors) {
    return "safetensors without config.json";
  }
  return listing.contents.any_model_file ? "later files of a split .gguf without the first" : "no model in the folder";
}

}  // namespace

SplitName parse_split_name(std::string_view file_name) {
  // NAME -00002 -of- 00003 .gguf
  constexpr std::string_view kSuffix = ".gguf";
  constexpr std::string_view kOf = "-of-";
  constexpr std::size_t kTail = 1 + kSplitDigits + kOf.size() + kSplitDigits + kSuffix.size();
  if (file_name.size() <= kTail || !file_name.ends_with(kSuffix)) {
    return {};
  }
  const std::string_view tail = file_name.substr(file_name.size() - kTail);
  SplitName split;
  if (tail[0] != '-' || tail.substr(1 + kSplitDigits, kOf.size()) != kOf ||
      !parse_five_digits(tail.substr(1, kSplitDigits), split.part) ||
      !parse_five_digits(tail.substr(1 + kSplitDigits + kOf.size(), kSplitDigits), split.parts) || split.part == 0 ||
      split.part > split.parts) {
    return {};
  }
  split.first = cat(file_name.substr(0, file_name.size() - kTail), "-00001", tail.substr(1 + kSplitDigits));
  return split;
}

FolderContents inspect_folder(const fs::path& folder) {
  Listing listing = list_folder(folder);
  FolderContents& contents = listing.contents;
  const bool safetensors = listing.config && listing.weights;
  if (safetensors && listing.files.empty()) {
    contents.format = ModelFormat::safetensors;
    contents.path = folder.string();
  } else if (!safetensors && listing.files.size() == 1) {
    contents.format = listing.files.front().ends_with(".minke") ? ModelFormat::tiled : ModelFormat::gguf;
    contents.path = (folder / listing.files.front()).string();
  } else if (!safetensors && listing.files.empty()) {
    contents.problem = missing_text(listing);
  } else {
    contents.problem = cat("several models in the folder:", safetensors ? " safetensors," : "");
    for (const std::string& name : listing.files) {
      contents.problem += cat(" ", name, ",");
    }
    contents.problem.pop_back();
  }
  return std::move(listing.contents);
}

}  // namespace minke::hub
