#include "cli/remote_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/cat.h"
#include "base/error.h"
#include "cli/machine.h"
#include "hub/retry.h"

namespace minke::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kScratchPrefix = "minke-show-";

/// Of this user, of no living process, and not so new that its owner may yet be about to lock it.
bool is_abandoned(const fs::path& path) {
  constexpr std::time_t kNewSeconds = 60;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) return false;
  if (std::time(nullptr) - info.st_mtim.tv_sec < kNewSeconds) return false;
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  const bool free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return free;
}

void remove_abandoned(const fs::path& parent) {
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->path().filename().string().starts_with(kScratchPrefix) && is_abandoned(at->path()))
      fs::remove_all(at->path(), ignored);
  }
}

}  // namespace

ScratchFolder::ScratchFolder() {
  const fs::path parent = fs::temp_directory_path();
  remove_abandoned(parent);
  std::string pattern = (parent / base::cat(kScratchPrefix, "XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) throw base::io_error(pattern, "create the folder", errno);
  path_ = pattern;
  fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Without it the folder might be taken for an abandoned one, in a minute: an error then, nothing worse.
  if (fd_ >= 0) (void)::flock(fd_, LOCK_EX | LOCK_NB);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  if (fd_ >= 0) ::close(fd_);
}

bool is_remote(const hub::ModelStore& store, const std::string& model) {
  std::error_code ignored;
  if (!names_hub_model(store.gallery(), model) || fs::exists(model, ignored)) return false;
  try {
    store.resolve(model);
    return false;
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::not_found) throw;
    return true;
  }
}

RemoteModel::RemoteModel(const Session& session, const hub::ModelStore& store, const std::string& model)
    : asked_(model) {
  const HubAccess access = hub_access(session.environment, {});
  const hub::RetryPolicy retry{.attempts = 3};
  choice_ = choose_on_hub(access, store, {.model = model, .name = {}, .quant = {}, .retry = retry});
  if (access.offline)
    throw base::Error(base::ErrorCode::not_found, base::cat(model, ": not in the store, and HF_HUB_OFFLINE is set"),
                      base::cat("minke pull ", model, " takes it from the Hugging Face cache"));
  const hub::HubClient client(access.options);
  naming([&] {
    hub::retrying(retry, {}, [&] {
      std::error_code ignored;
      for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove(entry.path(), ignored);
      headers_ = hub::fetch_headers(client, choice_.request.repo, choice_.variant, folder_.path());
    });
    shown_ = open_shown_model(store, headers_.path.string(), "");
  });
}

std::string RemoteModel::label() const { return base::cat("hf.co/", choice_.request.repo.name); }

void RemoteModel::naming(const std::function<void()>& work) const {
  try {
    work();
  } catch (const base::Error& error) {
    std::string message = error.message();
    for (std::size_t at = message.find(folder_.path()); at != std::string::npos; at = message.find(folder_.path()))
      message.replace(at, folder_.path().size(), label());
    throw base::Error(error.code(), std::move(message), error.hint());
  }
}

void RemoteModel::complete(ModelReport& report) const {
  const hub::ModelVariant& chosen = choice_.variant;
  report.path = base::cat(label(), chosen.quant.empty() ? "" : ":" + chosen.quant, " (not here)");
  if (!chosen.gguf) {
    report.tokenizer = "in tokenizer.json, which was not fetched";
    report.encoding.clear();
    report.encoding_note = "told by the tokenizer and its template, once they are here";
  }
  report.headers_fetched = headers_.fetched;
  report.memory_free = memory_bytes("MemAvailable").value_or(0);
  report.pull = asked_;
  const std::uint64_t beside = report.memory.front().bytes - report.sizes.weight_bytes;
  for (const hub::ModelVariant& variant : choice_.all) {
    const double scale = static_cast<double>(variant.bytes) / static_cast<double>(chosen.bytes);
    VariantFit fit;
    fit.quant = variant.gguf ? (variant.quant.empty() ? "gguf" : variant.quant) : "safetensors";
    fit.bytes = variant.bytes;
    fit.memory = beside + static_cast<std::uint64_t>(static_cast<double>(report.sizes.weight_bytes) * scale);
    fit.decode = report.speed.decode / scale;
    fit.fits = fit.memory <= report.memory_free;
    fit.chosen = variant.files.front().path == chosen.files.front().path;
    fit.readable = variant.quant.find("IQ") == std::string::npos;
    report.variants.push_back(std::move(fit));
  }
}

}  // namespace minke::cli
