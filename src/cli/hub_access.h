// The hub as the user's environment describes it.
#pragma once

#include <functional>

#include "cli/environment.h"
#include "hub/hf_cache.h"
#include "hub/hub_client.h"

namespace minke::cli {

struct HubAccess {
  hub::HubOptions options;
  hub::HfCache cache;
  bool offline = false;  ///< $HF_HUB_OFFLINE
};

/// Reads the token's file, if no variable has the token. `cancelled` is asked by any thread.
HubAccess hub_access(const Environment& environment, std::function<bool()> cancelled);

}  // namespace minke::cli
