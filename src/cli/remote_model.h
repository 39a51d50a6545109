// `minke show` of a model that is not here: its headers, fetched, and what of it would fit.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/hub_choice.h"
#include "cli/model_report.h"
#include "cli/probed_model.h"

namespace minke::cli {

/// The model is neither in the store nor a path, but may be on the hub.
bool is_remote(const hub::ModelStore& store, const std::string& model);

/// What `minke pull` would take, by its headers. Errors as choose_on_hub and ProbedModel.
class RemoteModel {
 public:
  RemoteModel(const Session& session, const hub::ModelStore& store, const std::string& model,
              const EngineFlags& engine);

  const ShownModel& shown() const noexcept { return choice_.headers->shown(); }
  const HubChoice& choice() const noexcept { return choice_; }
  /// "hf.co/user/repo"
  const std::string& label() const noexcept { return choice_.headers->label(); }
  /// Puts into a report on shown() what is told of a remote model alone. Measures the processors: 0.3 s.
  void complete(ModelReport& report) const;
  /// Runs `work`, whose errors shall name the repository.
  void naming(const std::function<void()>& work) const { choice_.headers->naming(work); }

 private:
  std::string asked_;
  EngineFlags engine_;
  HubChoice choice_;  ///< with headers
};

}  // namespace minke::cli
