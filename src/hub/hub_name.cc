#include "hub/hub_name.h"

#include <algorithm>
#include <array>

#include "base/cat.h"
#include "hub/hub_client.h"
#include "hub/model_store.h"

namespace minke::hub {

namespace {

constexpr std::array<std::string_view, 3> kHosts = {"hf.co/", "huggingface.co/", "www.huggingface.co/"};

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// USER/REPO/blob/REVISION/FILE
std::optional<HubName> parse_file_page(std::string_view text) {
  for (const std::string_view kind : {"/blob/", "/resolve/", "/tree/"}) {
    const std::size_t at = text.find(kind);
    if (at == std::string_view::npos || !is_repo_name(text.substr(0, at))) continue;
    const std::string_view rest = text.substr(at + kind.size());
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    HubName name{.repo = std::string(text.substr(0, at)),
                 .what = std::string(rest.substr(std::min(slash + 1, rest.size()))),
                 .revision = std::string(rest.substr(0, slash))};
    name.what.resize(std::min(name.what.find('?'), name.what.size()));
    if (name.revision.empty() || (!name.what.empty() && !is_safe_path(name.what))) return std::nullopt;
    return name;
  }
  return std::nullopt;
}

}  // namespace

std::optional<HubName> parse_hub_name(std::string_view text) {
  bool address = take_prefix(text, "https://") || take_prefix(text, "http://");
  const bool on_host =
      std::any_of(kHosts.begin(), kHosts.end(), [&text](std::string_view host) { return take_prefix(text, host); });
  if (address && !on_host) {
    // Another hub's page: which one is asked is HF_ENDPOINT's affair.
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    text.remove_prefix(slash + 1);
  }
  address = address || on_host;
  if (address) {
    if (auto page = parse_file_page(text)) return page;
  }
  const std::size_t colon = text.find(':');
  HubName name{.repo = std::string(text.substr(0, colon)), .what = {}, .revision = {}};
  if (colon != std::string_view::npos) {
    name.what = text.substr(colon + 1);
    if (!is_safe_path(name.what)) return std::nullopt;
  }
  const bool file =
      name.repo.ends_with(".gguf") || name.repo.ends_with(".minke") || name.repo.ends_with(".safetensors");
  if (!is_repo_name(name.repo) || name.repo.front() == '.' || (file && !address)) return std::nullopt;
  return name;
}

std::optional<std::string> store_name_of(std::string_view repo, std::string_view tag) {
  const std::size_t slash = std::min(repo.find('/'), repo.size());
  std::string name = base::cat(repo.substr(0, slash), "--", repo.substr(std::min(slash + 1, repo.size())));
  if (!tag.empty()) name += base::cat(":", tag);
  return parse_store_name(name);
}

}  // namespace minke::hub
