// From what the user typed to files of a repository: for `minke pull`, and `minke show` of what is not here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/hub_access.h"
#include "cli/options.h"
#include "cli/probed_model.h"
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
  EngineFlags engine;     ///< what it is to run with: context and memory, of which 0 is the usual
  bool must_run = false;  ///< headers that say that this program does not run it are an error, not a warning
};

/// What a choice by memory went by.
struct ChoiceMemory {
  std::uint64_t need = 0;     ///< bytes, of the chosen one
  std::uint64_t context = 0;  ///< tokens that this is for
  std::uint64_t room = 0;     ///< bytes that it may take
};

struct HubChoice {
  hub::PullRequest request;
  hub::ModelVariant variant;                   ///< whose files are asked for
  std::vector<hub::ModelVariant> all;          ///< smallest first
  std::string why;                             ///< why this one; empty when it was named
  std::optional<ChoiceMemory> memory;          ///< unless it was named, or headers could not be read
  std::shared_ptr<const ProbedModel> headers;  ///< of `variant`, if they were read for the choice
};

/// Asks the hub (or, offline, the cache) what the repository holds. Where no quantisation is named it reads the headers
/// of one, and chooses by the memory that each takes with its context; where these say that this program does not run
/// the model it warns, and chooses by the files' sizes. UsageError for a name that is none; errors as HubClient::list,
/// HubClient::read, choose_named.
HubChoice choose_on_hub(const HubAccess& access, const hub::ModelStore& store, const HubQuestion& question);

/// What models of a repository take in memory, told from the report on one of them, whose files have so many bytes.
hub::MemoryRoom scaled_room(const ModelReport& report, std::uint64_t file_bytes, const EngineFlags& engine);

/// What choose_on_hub takes.
bool names_hub_model(const hub::Gallery& gallery, const std::string& text);

}  // namespace minke::cli
