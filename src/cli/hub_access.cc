#include "cli/hub_access.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/read_file.h"

namespace minke::cli {
namespace {

constexpr std::uint64_t kMaxTokenFile = 4096;

std::string hf_home(const Environment& env) {
  if (!env.hf_home.empty()) return env.hf_home;
  if (env.xdg_cache_home.starts_with('/')) return env.xdg_cache_home + "/huggingface";
  return env.home.empty() ? std::string() : env.home + "/.cache/huggingface";
}

std::string token(const Environment& env) {
  if (!env.hf_token.empty()) return env.hf_token;
  const std::string home = hf_home(env);
  const std::string path =
      env.hf_token_path.empty() ? (home.empty() ? std::string() : home + "/token") : env.hf_token_path;
  if (path.empty()) return {};
  try {
    std::string text = base::read_file(path, kMaxTokenFile);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    return text;
  } catch (const base::Error& error) {
    // There is no token: most people's case.
    if (error.code() == base::ErrorCode::not_found) return {};
    throw;
  }
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  constexpr std::array<std::string_view, 4> kTrue = {"1", "ON", "YES", "TRUE"};
  return std::find(kTrue.begin(), kTrue.end(), value) != kTrue.end();
}

}  // namespace

HubAccess hub_access(const Environment& env, std::function<bool()> cancelled) {
  hub::HubOptions options;
  if (!env.hf_endpoint.empty()) options.endpoint = env.hf_endpoint;
  options.token = token(env);
  options.network.https_proxy = env.https_proxy;
  options.network.http_proxy = env.http_proxy;
  options.network.no_proxy = env.no_proxy;
  options.network.ca_file = env.ssl_cert_file;
  options.network.cancelled = std::move(cancelled);
  const std::string home = hf_home(env);
  std::string cache = env.hf_hub_cache;
  if (cache.empty() && !home.empty()) cache = home + "/hub";
  return {.options = std::move(options), .cache = hub::HfCache(cache), .offline = is_true(env.hf_hub_offline)};
}

}  // namespace minke::cli
