// A model on a hub, as far as its headers tell.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/hub_access.h"
#include "cli/model_report.h"
#include "cli/scratch_folder.h"
#include "hub/hub_client.h"
#include "hub/model_choice.h"
#include "hub/model_store.h"
#include "hub/remote_headers.h"
#include "hub/retry.h"

namespace minke::cli {

/// Headers in a scratch folder, opened. Errors are the hub's and the formats'; they name the repository instead of the
/// folder.
class ProbedModel {
 public:
  ProbedModel(const HubAccess& access, const hub::ModelStore& store, const hub::Repository& repo,
              const hub::ModelVariant& variant, const hub::RetryPolicy& retry);

  const ShownModel& shown() const noexcept { return shown_; }
  std::uint64_t bytes_fetched() const noexcept { return headers_.fetched; }
  /// "hf.co/user/repo"
  const std::string& label() const noexcept { return label_; }
  /// Runs `work`, whose errors shall name the repository.
  void naming(const std::function<void()>& work) const;

 private:
  ScratchFolder folder_;
  std::string label_;
  hub::RemoteHeaders headers_;
  ShownModel shown_;
};

}  // namespace minke::cli
