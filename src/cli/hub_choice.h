// From what the user typed to files of a repository: for `minke pull`, and `minke show` of what is not here.
#pragma once

#include <string>
#include <vector>

#include "cli/hub_access.h"
#include "hub/model_choice.h"
#include "hub/model_store.h"
#include "hub/pull.h"
#include "hub/retry.h"

namespace minke::cli {

struct HubQuestion {
  std::string model;              ///< a gallery's name, or a repository's
  std::string name, quant;        ///< may be empty
  std::string revision = "main";  ///< where the model's own address has none
  hub::RetryPolicy retry;
};

struct HubChoice {
  hub::PullRequest request;
  hub::ModelVariant variant;           ///< whose files are asked for
  std::vector<hub::ModelVariant> all;  ///< smallest first
  std::string why;                     ///< why this one; empty when it was named
};

/// Asks the hub (or, offline, the cache) what the repository holds. UsageError for a name that is none; errors as
/// HubClient::list, choose_named, choose_best.
HubChoice choose_on_hub(const HubAccess& access, const hub::ModelStore& store, const HubQuestion& question);

/// What choose_on_hub takes.
bool names_hub_model(const hub::Gallery& gallery, const std::string& text);

}  // namespace minke::cli
