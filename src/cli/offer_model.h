// `minke run` of a model that is not here, but may be had of a hub.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/options.h"

namespace minke::cli {

struct OfferOptions {
  bool yes = false;  ///< fetch it without asking
  ChatFlags chat;    ///< what the estimate is for
  EngineFlags engine;
};

/// What to open for MODEL: itself when it is here, or a path. Else, on a terminal, its headers are read, the user is
/// told what it needs and asked, and it is fetched. Errors: not_found with the command that fetches it, where nobody
/// can be asked or the answer is no; as RemoteModel and fetch_model.
std::string offer_model(const Session& session, const std::string& model, const OfferOptions& options);

}  // namespace minke::cli
