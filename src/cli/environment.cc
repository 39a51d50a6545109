#include "cli/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/read_file.h"

namespace minke::cli {
namespace {

constexpr std::uint64_t kMaxGallery = std::uint64_t{16} << 20;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::vector<std::pair<std::string, std::string>> variables_of(std::string_view prefix) {
  std::vector<std::pair<std::string, std::string>> found;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::size_t equals = entry.find('=');
    if (!entry.starts_with(prefix) || equals == std::string_view::npos) continue;
    found.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  std::ranges::sort(found);
  return found;
}

std::string either(const char* small, const char* capital) {
  std::string value = variable(small);
  return value.empty() ? variable(capital) : value;
}

}  // namespace

Environment Environment::read() {
  Environment env;
  env.minke_models = variable("MINKE_MODELS");
  env.xdg_data_home = variable("XDG_DATA_HOME");
  env.xdg_state_home = variable("XDG_STATE_HOME");
  env.xdg_cache_home = variable("XDG_CACHE_HOME");
  env.home = variable("HOME");
  env.minke_variables = variables_of("MINKE_");
  env.xdg_config_home = variable("XDG_CONFIG_HOME");
  env.hf_endpoint = variable("HF_ENDPOINT");
  env.hf_token = variable("HF_TOKEN");
  env.hf_token_path = variable("HF_TOKEN_PATH");
  env.hf_home = variable("HF_HOME");
  env.hf_hub_cache = variable("HF_HUB_CACHE");
  env.hf_hub_offline = variable("HF_HUB_OFFLINE");
  env.https_proxy = either("https_proxy", "HTTPS_PROXY");
  // In capitals it could come from a request's "Proxy:" header where this runs under a web server; nobody does that.
  env.http_proxy = either("http_proxy", "HTTP_PROXY");
  env.no_proxy = either("no_proxy", "NO_PROXY");
  env.ssl_cert_file = variable("SSL_CERT_FILE");
  env.ollama_models = variable("OLLAMA_MODELS");
  env.stdin_terminal = ::isatty(STDIN_FILENO) == 1;
  env.stdout_terminal = ::isatty(STDOUT_FILENO) == 1;
  env.stderr_terminal = ::isatty(STDERR_FILENO) == 1;
  env.styled = variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  return env;
}

std::string Environment::data_folder() const {
  if (xdg_data_home.starts_with('/')) return xdg_data_home + "/minke";
  return home.empty() ? std::string() : home + "/.local/share/minke";
}

std::string Environment::cache_folder() const {
  if (xdg_cache_home.starts_with('/')) return xdg_cache_home + "/minke";
  return home.empty() ? std::string() : home + "/.cache/minke";
}

std::string Environment::config_folder() const {
  if (xdg_config_home.starts_with('/')) return xdg_config_home + "/minke";
  return home.empty() ? std::string() : home + "/.config/minke";
}

hub::ModelStore Environment::store() const {
  namespace fs = std::filesystem;
  hub::Gallery gallery = hub::Gallery::built_in();
  std::vector<std::string> files;
  std::error_code none;
  const std::string config = config_folder();
  if (!config.empty()) {
    for (fs::directory_iterator at(fs::path(config) / "gallery", none), end; !none && at != end; at.increment(none)) {
      if (at->path().extension() == ".json") files.push_back(at->path().string());
    }
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) gallery.add(base::read_file(file, kMaxGallery), file);
  return hub::ModelStore(hub::store_root(minke_models, xdg_data_home, home), std::move(gallery));
}

}  // namespace minke::cli
