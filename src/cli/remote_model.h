// `minke show` of a model that is not here: its headers, fetched, and what of it would fit.
#pragma once

#include <functional>
#include <string>

#include "cli/command.h"
#include "cli/hub_choice.h"
#include "cli/model_report.h"
#include "hub/remote_headers.h"

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

/// The model is neither in the store nor a path, but may be on the hub.
bool is_remote(const hub::ModelStore& store, const std::string& model);

/// A model's headers in a scratch folder. Errors of the hub and of the formats, which name the repository instead of
/// the folder.
class RemoteModel {
 public:
  RemoteModel(const Session& session, const hub::ModelStore& store, const std::string& model);

  const ShownModel& shown() const noexcept { return shown_; }
  const HubChoice& choice() const noexcept { return choice_; }
  /// "hf.co/user/repo"
  std::string label() const;
  /// Puts into a report on shown() what is told of a remote model alone. Measures the processors: 0.3 s.
  void complete(ModelReport& report) const;
  /// Runs `work`, whose errors shall name the repository.
  void naming(const std::function<void()>& work) const;

 private:
  ScratchFolder folder_;
  std::string asked_;
  HubChoice choice_;
  hub::RemoteHeaders headers_;
  ShownModel shown_;
};

}  // namespace minke::cli
