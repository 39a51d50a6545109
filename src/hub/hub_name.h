// Models by the name of their repository.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace minke::hub {

struct HubName {
  std::string repo;      ///< "user/repo"
  std::string what;      ///< behind the colon: a quantisation ("Q4_K_M") or a file; may be empty
  std::string revision;  ///< of an address with /blob/REVISION/FILE; else empty
};

/// USER/REPO, hf.co/USER/REPO, huggingface.co/USER/REPO, https://.../USER/REPO, each with :QUANT or :FILE or not; also
/// the address of a file's page (.../blob/main/FILE, .../resolve/main/FILE). nullopt for anything else, for paths
/// ("./x",
/// "/x", "a/b/c") and for names of model files.
std::optional<HubName> parse_hub_name(std::string_view text);

/// "user--repo" or "user--repo:tag" in lower case, if that is a store name (hub/model_store.h), else nullopt.
std::optional<std::string> store_name_of(std::string_view repo, std::string_view tag);

}  // namespace minke::hub
