// Fetching what was chosen on a hub, told of on standard error: for `minke pull`, and `minke run` of what is not here.
#pragma once

#include <string>

#include "cli/hub_choice.h"

namespace minke::cli {

/// "user/repo: Q4_K_M, 1.12 GB in 2 files (the only one there)".
std::string choice_text(const HubChoice& choice);

/// A line on what it takes of memory, and what there is; empty where that was not looked at.
std::string memory_text(const HubChoice& choice);

struct FetchOptions {
  std::size_t connections = 4;
  unsigned retries = 6;   ///< attempts in a row without a byte
  bool terminal = false;  ///< standard error is one
};

/// Into the store, under choice.request.name. Errors as hub::pull; when cancelled it says that what was fetched stays.
void fetch_model(const HubAccess& access, const hub::ModelStore& store, const HubChoice& choice,
                 const FetchOptions& given);

}  // namespace minke::cli
